"""A published version as one TFLite file for phones and small boards, checked before it is kept.

The file is a TFLite model with the card behind it as a zip archive, which TFLite's interpreters skip and
`unzip` or `card_of` reads. A text model's file takes hashed n-grams (its signature `prepared`), since TFLite
has no string ops that hash: texts are prepared by `serving/preprocess/text.py`, or a port of it.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.card import ModelCard, TextInput
from serving.errors import BadInput, FailedPrecondition
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.repository import write_whole
from training import parity

Weights = Literal["float32", "float16", "int8"]
LEAST_AGREEMENT = 0.995
"""Share of examples with the same first place, and on the same side of the anomaly threshold."""
_CARD = "card.json"
_LACKING = re.compile(r"^(?:Custom|Flex) ops: (.+)$", re.MULTILINE)
"""Where the converter lists operations that TFLite does not have of itself."""


@dataclass(frozen=True, slots=True)
class LiteFile:
    """What was written, and how it compares with the version that it came from."""

    path: Path
    bytes: int
    version_bytes: int
    examples: int
    agreement: float
    largest_difference: float
    """Of any probability."""
    takes: str
    """What the file wants as its input, in words."""


def write(folder: Path, card: ModelCard, batches: Sequence[NDArray[Any]], weights: Weights, path: Path) -> LiteFile:
    """Convert a version, ask both about the same examples, and keep the file if they agree.

    Args:
        folder: a published version.
        card: its card.
        batches: network inputs to compare on.
        weights: how they are stored; int8 is by dynamic range, computed in float32.
        path: the file to write.

    Raises:
        BadInput: the version takes strings as they are, which TFLite cannot prepare.
        FailedPrecondition: TFLite lacks an operation of the model, or the answers differ too much; nothing is written.
        OSError: no space or no permission.
    """
    if isinstance(card.input, TextInput) and not card.input.bits:
        raise BadInput(f"{card.name} prepares its texts by string ops of its own, which TFLite does not have")
    signature = card.signatures.get("prepared", card.signatures["default"])
    content = _converted(folder, signature, weights, card.name)
    ours = parity.answers(folder, RuntimeOptions(precision="f32"), card, batches)
    theirs = _asked(content, signature, batches)
    options = RuntimeOptions(runtime="tensorflow", precision="f32")
    found = parity.measured(options, ours, theirs, card.anomaly_threshold)
    if found.top1_agreement < LEAST_AGREEMENT:
        raise FailedPrecondition(
            f"{card.name} as TFLite with {weights} weights agrees with version {card.version} on "
            f"{found.top1_agreement:.1%} of {found.examples} examples, and {LEAST_AGREEMENT:.1%} is asked: "
            "nothing was written; try --weights float32"
        )
    whole = content + _archive(card)
    write_whole(path, lambda file: file.write(whole))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    takes = _takes(card)
    return LiteFile(path, len(whole), size, found.examples, found.top1_agreement, found.largest_difference, takes)


def card_of(path: Path) -> ModelCard:
    """The card in a file that was written here."""
    with zipfile.ZipFile(path) as archive:
        return ModelCard.from_json(archive.read(_CARD))


def _converted(folder: Path, signature: str, weights: Weights, name: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[signature])
    if weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        content: bytes = converter.convert()
    except Exception as error:  # TensorFlow names its ConverterError in no public room
        lacking = _LACKING.search(str(error))
        reason = f"it has no {lacking[1]}" if lacking else (str(error) or type(error).__name__).splitlines()[0]
        raise FailedPrecondition(f"TFLite cannot compute what {name} does: {reason}; nothing was written") from error
    return content


def _archive(card: ModelCard) -> bytes:
    """The card as a zip archive; without checksums, which are of the version's files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_CARD, replace(card, files={}).to_json())
    return file.getvalue()


def _asked(content: bytes, signature: str, batches: Sequence[NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """What TFLite's own interpreter answers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")  # its successor is another package
        interpreter = tf.lite.Interpreter(model_content=content)
    runner = interpreter.get_signature_runner(signature)
    (alias,) = runner.get_input_details()
    return parity.together([dict(runner(**{alias: np.ascontiguousarray(batch)})) for batch in batches])


def _takes(card: ModelCard) -> str:
    spec = card.input
    if isinstance(spec, TextInput):
        return (
            f"ids, int32 [N, L]: hashed n-grams as serving/preprocess/text.py makes them, padded with {1 << spec.bits}"
        )
    if spec.kind == "image":
        return f"image, uint8 [N, {spec.height}, {spec.width}, {spec.channels}]"
    return f"row, float32 [N, {len(spec.columns)}]"
