"""How a network learns: every option of the loop, its default, and what it says on the command line.

Recipes set these fields, `train_options.py` makes a command-line option of each, `schedules.py`, `steps.py`
and `batches.py` do what they say. An option that cannot have an effect is refused here, not ignored.
"""

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

from serving.errors import BadInput

Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
ScheduleKind = Literal["constant", "step", "exponential", "1/t", "cosine"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
StrategyKind = Literal["none", "mirrored", "multi-worker"]


def _option(group: str, says: str, *, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"group": group, "help": says, "low": low, "high": high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """Random changes to training pictures, drawn anew every epoch; all off by default."""

    flip: bool = field(default=False, metadata=_option("Augmentation", "Mirror every second picture."))
    shift: float = field(
        default=0.0,
        metadata=_option("Augmentation", "Move pictures by up to this share of their sides.", low=0, high=0.5),
    )
    crop: float = field(
        default=0.0,
        metadata=_option("Augmentation", "Cut up to this share off the sides and scale the rest up.", low=0, high=0.9),
    )
    color: float = field(
        default=0.0,
        metadata=_option(
            "Augmentation", "Change brightness, contrast and saturation by up to this factor.", low=0, high=0.9
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Every option of the loop. The defaults are those of a plain run on one device."""

    optimizer: Optimizer = field(default="adam", metadata=_option("Optimizer", "Which rule changes the weights."))
    learning_rate: float = field(
        default=1e-3, metadata=_option("Optimizer", "At its highest, whatever the schedule.", low=1e-12)
    )
    momentum: float = field(
        default=0.0, metadata=_option("Optimizer", "Of sgd (Nesterov's) and rmsprop.", low=0, high=0.9999)
    )
    weight_decay: float = field(default=0.0, metadata=_option("Optimizer", "Of adamw.", low=0))
    epochs: int = field(default=10, metadata=_option("Optimizer", "How often all training examples are seen.", low=1))
    batch_size: int = field(default=32, metadata=_option("Optimizer", "Examples a step, over all devices.", low=1))

    schedule: ScheduleKind = field(
        default="constant", metadata=_option("Schedule", "How the learning rate falls; docs/training.md.")
    )
    decay_rate: float = field(default=0.5, metadata=_option("Schedule", "Of step, exponential and 1/t.", low=0))
    decay_epochs: float = field(
        default=5.0, metadata=_option("Schedule", "Of step, exponential and 1/t: one unit of time.", low=1e-3)
    )
    warmup_steps: int = field(
        default=0, metadata=_option("Schedule", "Steps in which the rate rises from zero.", low=0)
    )
    warmup_epochs: float = field(
        default=0.0, metadata=_option("Schedule", "Epochs in which the rate rises from zero.", low=0)
    )

    l2: float | None = field(
        default=None, metadata=_option("Regularization", "Weight of the squared kernels in the loss.", low=0)
    )
    dropout: float | None = field(
        default=None, metadata=_option("Regularization", "Share of the features left out.", low=0, high=0.99)
    )
    batch_normalization: bool | None = field(
        default=None, metadata=_option("Regularization", "Normalize by batch, or not.")
    )
    label_smoothing: float = field(
        default=0.0, metadata=_option("Regularization", "Share of the truth given to all labels.", low=0, high=0.9)
    )
    augment: Augment = field(default_factory=Augment)

    patience: int | None = field(
        default=None, metadata=_option("Stopping", "Stop after so many epochs without a better loss.", low=1)
    )
    restore_best: bool = field(default=True, metadata=_option("Stopping", "End with the weights of the best epoch."))

    precision: Precision = field(
        default="float32", metadata=_option("Machine", "What layers compute in; weights stay float32.")
    )
    strategy: StrategyKind = field(
        default="none", metadata=_option("Machine", "Over how many devices a batch is spread.")
    )
    log_devices: bool = field(
        default=False, metadata=_option("Machine", "Write into the run's folder which device did what.")
    )


_NETWORK = ("l2", "dropout", "batch_normalization")
"""Options of the network: they change the recipe's setting of the same name."""


def named_options(kind: type = Learning) -> Iterator[Field[Any]]:
    """Every field that is an option, those of Augment in their place."""
    for one in fields(kind):
        if one.metadata:
            yield one
        elif one.name == "augment":
            yield from named_options(Augment)


def check(name: str, how: Learning, *, pictures: bool) -> None:
    """Refuse options that cannot have an effect together.

    Args:
        name: of the recipe, for the sentence.
        how: what was chosen.
        pictures: the recipe's inputs are pictures.

    Raises:
        BadInput: one sentence that names the option and what it would need.
    """
    if how.momentum and how.optimizer not in {"sgd", "rmsprop"}:
        raise BadInput(f"momentum is an option of sgd and rmsprop, and {name} learns with {how.optimizer}")
    if how.weight_decay and how.optimizer != "adamw":
        raise BadInput(
            f"weight decay is an option of adamw, and {name} would learn with {how.optimizer}: add --weight-decay 0"
        )
    if how.warmup_steps and how.warmup_epochs:
        raise BadInput("give the length of the warm-up in steps or in epochs, not in both")
    if how.augment != Augment() and not pictures:
        raise BadInput(f"{name} does not learn from pictures, so there is nothing to flip, move, crop or color")
    if how.strategy != "none" and how.precision == "mixed_float16":
        raise BadInput("mixed_float16 is for one device: use mixed_bfloat16 with a strategy")


def check_given(name: str, how: Learning, given: set[str]) -> None:
    """Refuse options that were named and change nothing beside the others.

    Raises:
        BadInput: as `check`.
    """
    if how.schedule in {"constant", "cosine"} and (idle := given & {"decay_rate", "decay_epochs"}):
        flag = "--" + sorted(idle)[0].replace("_", "-")
        raise BadInput(f"{flag} is for the schedules step, exponential and 1/t, and {name} has {how.schedule}")


def settings_of(name: str, how: Learning, settings: dict[str, Any]) -> dict[str, Any]:
    """A recipe's settings with the options of the network in them; L2 may stay out, it fits any kernel.

    Raises:
        BadInput: the network has no such thing.
    """
    changed = dict(settings)
    for option in _NETWORK:
        if (value := getattr(how, option)) is None:
            continue
        if option in settings:
            changed[option] = value
        elif option != "l2":
            raise BadInput(f"the network of {name} has no {option.replace('_', ' ')} that could be set")
    return changed
