"""What a person reads at the end of a run: tables made of cards and recipes."""

from collections.abc import Sequence

from rich.table import Table

from serving.card import ModelCard
from training.recipe import Recipe


def of_recipes(recipes: Sequence[Recipe]) -> Table:
    """One row per recipe."""
    table = Table("Recipe", "What it learns", "Source", title="Recipes")
    for recipe in recipes:
        table.add_row(recipe.name, recipe.summary, recipe.source.kind)
    return table


def of_quality(card: ModelCard) -> Table:
    """The measured quality of a version, and per label how often it was right."""
    found = card.quality
    assert found is not None, "only a measured version has a table"
    sample = ", sample data" if card.dataset.source == "sample" else ""
    title = f"{card.name}, version {card.version}, on {found.examples} test examples of {card.dataset.name}{sample}"
    table = Table("Measure", "Value", title=title)
    table.add_row("Accuracy", f"{found.accuracy:.2%}")
    table.add_row("Macro-F1", f"{found.macro_f1:.4f}")
    table.add_row("Log loss", f"{found.log_loss:.4f}")
    table.add_row("Calibration error", f"{found.calibration_error:.2%}")
    for place, label in enumerate(card.labels[:20]):
        row = found.confusion[place]
        table.add_row(f"Right on {label}", f"{row[place]} of {sum(row)}")
    return table


def of_parity(card: ModelCard) -> Table:
    """How every runtime compares with Keras."""
    table = Table("Runtime", "Precision", "Examples", "Largest difference", "Same first place", "Allowed")
    table.title = "Compared with Keras"
    for one in card.parity:
        allowed = "yes" if one.precision in card.allowed_precisions else "no"
        figures = (str(one.examples), f"{one.largest_difference:.1e}", f"{one.top1_agreement:.2%}")
        table.add_row(one.runtime, one.precision, *figures, allowed)
    return table
