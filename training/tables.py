"""What a person reads at the end of a run: tables made of cards and recipes."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from serving.card import ModelCard, Quality
from training.gate import Verdict
from training.learning_curve import Point
from training.lite import LiteFile
from training.recipe import Recipe

SHARES = frozenset({"accuracy", "calibration_error"})
"""Measures that are shown as percent."""
MEASURES = {
    "accuracy": "Accuracy",
    "calibration_error": "Calibration error",
    "log_loss": "Log loss",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R²",
}
"""Measures of a learning curve as people read them."""


def of_recipes(recipes: Sequence[Recipe]) -> Table:
    """One row per recipe."""
    table = Table("Recipe", "What it learns", "Source", title="Recipes")
    for recipe in recipes:
        table.add_row(recipe.name, recipe.summary, recipe.source.kind)
    return table


def of_quality(card: ModelCard) -> Iterator[Table]:
    """The measured quality of a version, and what damage and foreign examples make of it."""
    found = card.quality
    assert found is not None, "only a measured version has a table"
    sample = ", sample data" if card.dataset.source == "sample" else ""
    title = f"{card.name}, version {card.version}, on {found.examples} test examples of {card.dataset.name}{sample}"
    table = Table("Measure", "Value", title=title)
    table.add_row("Accuracy", f"{found.accuracy:.2%}{_interval(found)}")
    table.add_row("Macro-F1", f"{found.macro_f1:.4f}")
    table.add_row("Log loss", f"{found.log_loss:.4f}")
    table.add_row("Calibration error", f"{found.calibration_error:.2%}")
    if found.calibration_error_unscaled is not None:
        scaled = f"{found.calibration_error_unscaled:.2%}, at a temperature of {found.temperature:.3f}"
        table.add_row("before scaling", scaled)
    if found.calibration_floor is not None:
        table.add_row("by chance alone", f"{found.calibration_floor:.2%}")
    for place, label in enumerate(card.labels[:20]):
        row = found.confusion[place]
        table.add_row(f"Right on {label}", f"{row[place]} of {sum(row)}")
    _add_baseline(table, card)
    yield table
    if found.robustness:
        yield _two_columns(
            "Test examples", "Accuracy", {name: f"{value:.2%}" for name, value in found.robustness.items()}
        )
    if found.anomaly:
        yield _of_anomaly(found)


def _interval(found: Quality) -> str:
    if found.accuracy_low is None or found.accuracy_high is None:
        return ""
    return f", between {found.accuracy_low:.2%} and {found.accuracy_high:.2%} with 95 % certainty"


def _two_columns(first: str, second: str, rows: Mapping[str, str]) -> Table:
    table = Table(first, second)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _of_anomaly(found: Quality) -> Table:
    table = Table("Shown", "Flagged as foreign", "AUROC")
    for kind, share in found.anomaly.items():
        area = f"{found.auroc[kind]:.4f}" if kind in found.auroc else ""
        table.add_row("test examples (false alarms)" if kind == "test" else kind, f"{share:.1%}", area)
    return table


def of_verdict(verdict: Verdict) -> Table:
    """A candidate held against the version that serves."""
    table = Table("Measure", f"Version {verdict.serving}", "Candidate", "Allowed", "", title="Compared")
    for row in verdict.rows:
        table.add_row(row.measure, row.before, row.after, row.allowed, "ok" if row.passed else "worse")
    return table


def of_regression(card: ModelCard) -> Table:
    """The measured errors of a version that answers a number."""
    found = card.regression
    assert found is not None, "only a measured version has a table"
    table = Table("Measure", "Value")
    table.title = f"{card.name}, version {card.version}, on {found.examples} test examples of {card.dataset.name}"
    table.add_row("Mean absolute error", f"{found.mae:.5g}")
    table.add_row("Root mean squared error", f"{found.rmse:.5g}")
    table.add_row("R2", f"{found.r2:.4f}")
    _add_baseline(table, card)
    return table


def _add_baseline(table: Table, card: ModelCard) -> None:
    """A row for the simpler network that learned beside it, on the validation split as its own phases are."""
    if isinstance(simple := card.training.get("baseline"), Mapping):
        phases = card.training.get("phases") or [{}]
        for key, show in (("val_accuracy", "{:.2%}"), ("val_mae", "{:.5g}")):
            if key in simple and key in phases[-1]:
                table.add_row("On validation examples", show.format(phases[-1][key]))
                table.add_row(f"The same by: {simple['name']}", show.format(simple[key]))


def of_phases(card: ModelCard) -> Table | None:
    """The phases of learning side by side, where there was more than one: where each ended, and which was kept."""
    phases = card.training.get("phases") or []
    if len(phases) < 2:
        return None
    measures = [name for name in phases[0] if name.startswith("val_")]
    table = Table("Phase", "Epochs", *(name.replace("val_", "Validation ") for name in measures), "Kept")
    table.title = "Phases of learning"
    for one in phases:
        figures = (f"{one[name]:.4f}" for name in measures)
        table.add_row(str(one["name"]), str(one["epochs"]), *figures, "yes" if one["kept"] else "no, undone")
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


def of_lite(found: LiteFile) -> Table:
    """A TFLite file beside the version that it came from."""
    rows = {
        "Size": f"{found.bytes / 1e6:.2f} MB, the version is {found.version_bytes / 1e6:.2f} MB",
        "Same first place": f"{found.agreement:.2%} of {found.examples}",
        "Largest difference": f"{found.largest_difference:.1e}",
        "Takes": found.takes,
    }
    return _two_columns(found.path.name, "Compared with the version", rows)


def of_sizes(points: Sequence[Point]) -> Table:
    """A learning curve: the mean over seeds, and from where to where they went."""
    head, *rows = rows_of_sizes(points)
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    return table


def rows_of_sizes(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """The same as texts, the head first."""
    head = ("Training examples", *(MEASURES[name] for name in points[0].found))
    return [head, *((f"{one.examples}", *(_mean(name, one.found[name]) for name in one.found)) for one in points)]


def _mean(measure: str, values: tuple[float, ...]) -> str:
    """The mean over seeds, with the lowest and the highest where they differ."""
    low, high, mean = min(values), max(values), sum(values) / len(values)
    if measure in SHARES:
        return f"{mean:.2%} ({low * 100:.2f}-{high * 100:.2f})" if low < high else f"{mean:.2%}"
    return f"{mean:.3g} ({low:.3g} to {high:.3g})" if low < high else f"{mean:.3g}"
