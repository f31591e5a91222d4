"""ModelCard: what one published version promises, as JSON in and out.

`training/export.py` writes it, both servers and the clients read it. This room knows the
document; it knows nothing of folders (`repository.py`) or of how inputs are prepared
(`preprocess/`). The schema and its version rule are described in docs/model-card.md.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeVar

from serving.errors import DataLoss

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Raised only when an older reader would misunderstand; new optional fields do not raise it."""

Task = Literal["image_classification", "text_classification", "tabular"]
Precision = Literal["f32", "bf16", "int8"]


class CardError(DataLoss):
    """The card is damaged, or was written for a newer reader than this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInput:
    """How a picture becomes the tensor `image`, uint8 [N, height, width, channels]."""

    height: int
    """Rows of pixels."""
    width: int
    """Columns of pixels."""
    channels: Literal[1, 3] = 3
    """3 is RGB, 1 is grey."""
    resize: Literal["bilinear"] = "bilinear"
    """Method, with antialiasing; the aspect ratio is not kept."""
    max_pixels: int = 40_000_000
    """Pictures of more pixels, before any scaling, are refused unopened."""

    kind: Literal["image"] = "image"

    def __post_init__(self) -> None:
        """Refuse what no picture can be brought to."""
        if not (0 < self.height <= 8192 and 0 < self.width <= 8192 and self.channels in (1, 3)):
            raise CardError(f"no picture can be brought to {self.height}x{self.width}x{self.channels}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInput:
    """How a text becomes hashed word n-grams, int32 [N, L] below 2**bits, padded with 2**bits.

    The rules of lower-casing, tokens and the hash itself are in `serving/preprocess/text.py`.
    """

    bits: int
    """The hash is cut to so many bits; 0: the model takes texts as they are, nothing is hashed outside it."""
    orders: int = 1
    """1: single words; 2: also pairs of neighbors; 3: also triples; in the order of the word at which they end."""
    unique: bool = False
    """Each n-gram is kept once a text, where it comes last; otherwise as often as it comes."""
    length: int | None = None
    """Keep the first so many ids and pad up to it; None: as many as the longest text of a batch has."""
    max_bytes: int = 65_535
    """Longer texts, in UTF-8, are refused."""

    kind: Literal["text"] = "text"

    def __post_init__(self) -> None:
        """Refuse what the hash cannot do."""
        if not (0 <= self.bits <= 30 and 1 <= self.orders <= 3 and 1 <= self.max_bytes <= 65_535):
            raise CardError(
                f"impossible text rules: bits={self.bits}, orders={self.orders}, max_bytes={self.max_bytes}"
            )
        if self.length is not None and not 1 <= self.length <= 65_535:
            raise CardError(f"impossible text length: {self.length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table of numbers."""

    name: str
    low: float
    """The least and the greatest value seen in training; others are taken too, and are a guess."""
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInput:
    """How a row of named numbers becomes the tensor `row`, float32 [N, columns]; scaling is inside the graph."""

    columns: tuple[Column, ...] = ()
    """In the order of the tensor; none only in a recipe, which takes them from its data."""
    kind: Literal["table"] = "table"

    def __post_init__(self) -> None:
        """Refuse columns that a row could not name."""
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names) or "" in names:
            raise CardError(f"every column needs a name of its own; got {names}")


Input = ImageInput | TextInput | TableInput
"""What a model may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What the version learned from; counts are examples."""

    name: str
    source: str
    """sample, directory, archive, tfds, or unknown for an imported model."""
    train: int = 0
    validation: int = 0
    test: int = 0
    sha256: str = ""
    """Of the archive, or of all files in the order of their names; empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Measured once on the test split; shares and errors are between 0 and 1. docs/quality.md has every formula."""

    examples: int
    accuracy: float
    macro_f1: float
    log_loss: float
    """In nats."""
    calibration_error: float
    """As served, after scaling by the temperature."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: the true label; column: the answer; in the order of the card's labels."""
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    """The 95 % interval of the accuracy (Wilson)."""
    recall: tuple[float, ...] = ()
    """Share of each label's examples that were answered right, in the order of the card's labels."""
    calibration_error_unscaled: float | None = None
    """Before scaling by the temperature; None where nothing was scaled."""
    calibration_floor: float | None = None
    """What the calibration error of perfectly calibrated answers would be on so few examples."""
    temperature: float | None = None
    """The logarithms of the probabilities are divided by it, inside the graph."""
    robustness: Mapping[str, float] = field(default_factory=dict)
    """Damage done to the test examples to the accuracy on them."""
    anomaly: Mapping[str, float] = field(default_factory=dict)
    """Kind of foreign examples to the share of them that is flagged; `test` is the share of the test split."""
    auroc: Mapping[str, float] = field(default_factory=dict)
    """Kind of foreign examples to the probability that one of them scores higher than a test example."""
    mean_confidence: float | None = None
    """Of the first place; what the answers to real callers are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionQuality:
    """Measured once on the test split of a model that answers a number; errors in the target's own unit."""

    examples: int
    mae: float
    """Mean absolute error."""
    rmse: float
    """Root of the mean squared error."""
    r2: float
    """Share of the target's variance that is explained: 1 is all, 0 no better than the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How one runtime at one precision compares with the Keras model."""

    runtime: Literal["tensorflow", "openvino"]
    precision: Precision
    examples: int
    largest_difference: float
    """Of any probability."""
    top1_agreement: float
    """Share of examples with the same first place, or of those on the same side of the anomaly threshold if fewer.

    A changed first place counts only where Keras' best two differ by over 0.02, a changed side only where its
    score is not within 2 % of the threshold.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything a version promises. Read once when the version is loaded, never changed after."""

    name: str
    version: int
    task: Task
    labels: tuple[str, ...]
    """Empty: the model answers a number, `value` float32 [N], instead of probabilities."""
    input: Input
    signatures: Mapping[str, str] = field(default_factory=dict)
    """Role to signature name: `default`, `encoded`, `prepared`, `card`; a role may be missing."""
    dataset: Dataset
    quality: Quality | None = None
    """None where nothing was measured (an imported model without a test set)."""
    regression: RegressionQuality | None = None
    """Instead of `quality` where the model answers a number."""
    anomaly_threshold: float | None = None
    """A score of the output `anomaly` above it is flagged; None where the version has no such output."""
    gate: Mapping[str, Any] = field(default_factory=dict)
    """How it compared with the version that served: `compared_with`, `refusals`, `forced`, perhaps `remark`."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file of the version but this one; empty in the `card` signature, which is one of them."""
    parity: tuple[Parity, ...] = ()
    encoded_tolerance: float | None = None
    """Largest difference in probability seen between `encoded` and the gateway's own preparation."""
    allowed_precisions: tuple[Precision, ...] = ("f32",)
    created: str
    """UTC, as 2026-01-31T12:00:00Z."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """The recipe's settings and the seed, as JSON values."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    limits: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Hold the fields to each other."""
        a_number = self.task == "tabular" and not self.labels
        if len(set(self.labels)) != len(self.labels) or (len(self.labels) < 2 and not a_number):
            raise CardError(f"a classifier needs at least two labels, each once; got {list(self.labels)}")
        if "f32" not in self.allowed_precisions:
            raise CardError("allowed_precisions must hold f32, which every other precision is compared with")

    def to_json(self) -> str:
        """The document, keys in the order of the fields."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a card; unknown fields of the same schema version are ignored.

        Raises:
            CardError: not JSON, not a card, or of a newer schema version.
        """
        try:
            return cls(**_fields_of(json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise CardError(f"not a model card: {error}") from error


_INPUTS: Mapping[str, type[Input]] = {"image": ImageInput, "text": TextInput, "table": TableInput}


def _fields_of(document: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments out of a parsed document."""
    if (newest := document.get("schema_version", 1)) > SCHEMA_VERSION:
        raise CardError(f"card schema {newest} is newer than {SCHEMA_VERSION}, the newest this version reads: upgrade")
    given = _known(ModelCard, document)
    given["input"] = _input(document["input"])
    given["dataset"] = _part(Dataset, document["dataset"])
    if document.get("quality") is not None:
        given["quality"] = _quality(document["quality"])
    if document.get("regression") is not None:
        given["regression"] = _part(RegressionQuality, document["regression"])
    given["parity"] = tuple(_part(Parity, entry) for entry in document.get("parity", ()))
    return given | {name: tuple(given[name]) for name in ("labels", "allowed_precisions") if name in given}


def _input(document: Mapping[str, Any]) -> Input:
    if "columns" in document:
        document = {**document, "columns": tuple(_part(Column, one) for one in document["columns"])}
    return _part(_INPUTS[document["kind"]], document)


def _quality(document: Mapping[str, Any]) -> Quality:
    lists = {
        "confusion": tuple(tuple(row) for row in document["confusion"]),
        "recall": tuple(document.get("recall", ())),
    }
    return _part(Quality, {**document, **lists})


def _known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in kind.__dataclass_fields__ if name in document}  # type: ignore[attr-defined]


def _part(kind: type[T], document: Mapping[str, Any]) -> T:
    return kind(**_known(kind, document))
