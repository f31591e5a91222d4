"""What a caller wants trained, as one value, and as JSON in the run's folder, so that a run can be asked for again."""

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from serving.errors import NotFound
from training.datasets import SourceChoice
from training.learning import Augment, Learning
from training.recipe import Recipe

NAMED_WEIGHTS = ("imagenet", "none")
"""Weights of a backbone that are not a file's."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the caller wants trained, and how."""

    recipe: Recipe
    choice: SourceChoice = field(default_factory=SourceChoice)
    name: str = ""
    """Of the published model; empty: the recipe's."""
    seed: int = 0
    backbone_weights: str = ""
    """Empty: the recipe's."""
    models: Path = Path("models")
    cache: Path = Path("data-cache")
    runs: Path = Path("runs")
    others: Path | None = None
    """A folder of photos of other things, to measure the anomaly score on."""
    force: bool = False
    """Publish also what is worse than the version that serves now."""
    int8: bool = False
    """Make, measure and judge an int8 form as well."""
    trial: bool = False
    """Train and export, but publish nothing."""

    @property
    def model_name(self) -> str:
        """The name that is published."""
        return self.name or self.recipe.name


def options_of(recipe: Recipe) -> dict[str, Any]:
    """Every option of the loop as JSON values."""
    return {one.name: _plain(getattr(recipe, one.name)) for one in fields(Learning)}


def to_json(order: Order) -> dict[str, Any]:
    """What `from_json` needs, besides the recipe's code; paths become absolute."""
    parts = {one.name: getattr(order, one.name) for one in fields(order) if one.name not in {"recipe", "choice"}}
    choice = {name: _plain(value) for name, value in asdict(order.choice).items()}
    weights = order.backbone_weights
    if weights not in {"", *NAMED_WEIGHTS}:
        parts["backbone_weights"] = str(Path(weights).resolve())
    return {name: _plain(value) for name, value in parts.items()} | {"choice": choice}


def from_json(facts: dict[str, Any], recipe: Recipe) -> Order:
    """The order that a run's `order` and `options` describe.

    Raises:
        NotFound: they were written by another version of this program.
    """
    try:
        given, options = facts["order"], dict(facts["options"])
        options["augment"] = Augment(**options["augment"])
        recipe = replace(recipe, **options)
        choice = SourceChoice(**_with_paths(SourceChoice, given["choice"]))
        parts = {name: value for name, value in given.items() if name != "choice"}
        return Order(recipe=recipe, choice=choice, **_with_paths(Order, parts))
    except (KeyError, TypeError) as error:
        raise NotFound(f"the run was begun by another version of this program ({error}): train anew") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    return asdict(value) if isinstance(value, Augment) else value


def _with_paths(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values as the fields have them: JSON knows no paths."""
    paths = {one.name for one in fields(kind) if "Path" in str(one.type)}
    return {name: Path(value) if name in paths and value is not None else value for name, value in values.items()}
