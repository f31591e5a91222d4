"""Recipe: one trainable model as one value, from its data to its network and how it learns.

`recipes/` holds one file per model, `datasets.py` makes the Examples, `fit.py` runs the recipe,
`export.py` publishes what came out. This room only knows the words they share.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from serving.card import Input, Task, TextInput
from training.learning import Augment as Augment  # recipes take it from here, with the other words
from training.learning import Learning

SourceKind = Literal["sample", "directory", "archive", "arrays", "keras", "tfds", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """Where a recipe's examples come from unless the caller says otherwise."""

    kind: SourceKind
    dataset: str
    """The set's honest name, for the card and the cache: `shapes`, `cats_vs_dogs`, `imdb`."""
    tfds_name: str = ""
    """Its name in TensorFlow Datasets; empty if it has none."""
    keras_name: str = ""
    """Its name in keras.datasets; empty if it has none."""
    class_names: tuple[str, ...] = ()
    """Of sets that number their classes: the labels, in the order of the numbers."""
    tfds_splits: tuple[str, str, str] = ("train[:80%]", "train[80%:90%]", "train[90%:]")
    """Training, validation and test split, in TensorFlow Datasets' own notation."""


@dataclass(frozen=True, slots=True)
class RaggedIds:
    """Texts of different lengths as n-gram ids: text i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: NDArray[np.int32]
    """All ids, one text after the other."""
    offsets: NDArray[np.int64]
    """[N + 1], the first is 0."""

    def __len__(self) -> int:
        """The number of texts."""
        return len(self.offsets) - 1

    def padded(self, rows: Sequence[int] | NDArray[Any], spec: TextInput) -> NDArray[np.int32]:
        """The chosen texts as int32 [len(rows), L], padded with 2**bits.

        L is the spec's length, or the longest of the chosen texts, at least 1.
        """
        starts, ends = self.offsets[:-1][rows], self.offsets[1:][rows]
        longest = int((ends - starts).max(initial=1))
        width = spec.length or longest
        batch = np.full((len(starts), width), 1 << spec.bits, np.int32)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            kept = self.ids[start : min(end, start + width)]
            batch[row, : len(kept)] = kept
        return batch


@dataclass(frozen=True, slots=True)
class Examples:
    """One split, prepared: what the network takes, and what it should say."""

    inputs: NDArray[Any] | RaggedIds
    """Pictures: uint8 [N, height, width, channels], perhaps mapped from disk; rows: float32 [N, F]; texts."""
    labels: NDArray[Any]
    """[N], int32, the index of the right label; float32, the right number where there are no labels."""
    names: Sequence[str]
    """[N], file names or other words that let a person find the example."""

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.labels)

    def batch(self, rows: Sequence[int] | NDArray[Any], spec: Input) -> NDArray[Any]:
        """The chosen rows as the network's numeric input."""
        if isinstance(self.inputs, RaggedIds):
            assert isinstance(spec, TextInput), "ids belong to a text model"
            return self.inputs.padded(rows, spec)
        return self.inputs[rows]


@dataclass(frozen=True, kw_only=True)
class BuildContext:
    """What a recipe may look at while it builds its network."""

    input: Input
    labels: tuple[str, ...]
    """Empty where the network answers a number, as [N, 1]."""
    train: Examples
    """The training split alone; validation and test are nobody's business here."""
    seed: int
    backbone_weights: str
    """`imagenet`, `none`, or the path of a weights file."""
    settings: Mapping[str, Any]
    """The recipe's own `settings`."""
    cache_dir: Path
    """A folder that outlives the run; what is written there must be keyed and written atomically."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """The second phase of a recipe with a frozen backbone: its top learns too, slowly."""

    layers: int
    """So many of the backbone's last layers; batch normalization stays in inference mode."""
    learning_rate: float = 1e-5
    epochs: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A network seen as two: a frozen part, run once over the data, and the part that learns.

    Both share their layers with the whole network, so that training the head trains the whole.
    """

    frozen: Any
    """keras.Model: the network's input -> features float32 [N, F]."""
    head: Any
    """keras.Model: features [N, F] -> probabilities [N, C]."""
    backbone: Any
    """keras.Model: the pretrained part, whose last layers FineTune lets learn."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Learning):
    """One trainable model: what it learns from, its network, and (see Learning) how it learns."""

    name: str
    """Also the published model's name, unless the caller gives another."""
    summary: str
    """One line for `python -m training list`."""
    task: Task
    input: Input
    """A TableInput takes its columns from the data."""
    source: SourceSpec
    labels: tuple[str, ...] | None = None
    """Fixed by the network, in the order of its outputs; None: taken from the data, sorted."""
    build: Callable[[BuildContext], Any]
    """A keras.Model, numeric input (uint8 pixels [N, H, W, C] or int32 ids [N, L]) -> probabilities float32 [N, C]."""
    split: Callable[[Any], Split | None] | None = None
    """For networks with a frozen part: its features are computed once and cached, the head is fitted on them."""
    baseline: Callable[[BuildContext], Any] | None = None
    """A simpler network that learns the same way, for its figure beside the model's."""
    finish: Callable[[Any], Any] | None = None
    """After fitting: the model that is measured and exported, where it is another (folded tables)."""

    fine_tune: FineTune | None = None
    backbone_weights: str = "none"
    """What `--backbone-weights` is unless given: `imagenet`, `none` or a path."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe's own numbers, JSON values; they reach `build` and the card.

    A network with dropout, batch normalization or L2 of its own says so by settings named `dropout`,
    `batch_normalization` and `l2`: the options of these names change them, and are refused without them.
    """
    licence: str = ""
    """Of the model that comes out, for the card."""
    limits: str = ""
    """What the model must not be trusted with, in prose, for the card."""
