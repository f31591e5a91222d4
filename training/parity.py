"""Holds a saved version against the Keras model that it came from, runtime by runtime.

The version is loaded with the very code that serves it (`serving.modelserver.runtimes`); no other
room of training knows that code. `export.py` decides what the figures allow.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, Input, ModelCard, Parity, TableInput, TextInput
from serving.errors import BadInput, FailedPrecondition, ServingError
from serving.modelserver.runtimes.choice import load
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.preprocess import image, text
from training.prepared_cache import PreparedData

ENOUGH = 1_000
"""Examples to compare on, where there are so many."""
_BATCH = 32
_CLOSE_CALL = 0.02
"""Where Keras' two best are nearer than this, another order is no disagreement."""

_NEAR_THRESHOLD = 0.02
"""Where Keras' anomaly score is within this share of the threshold (or of 1), either side is no disagreement."""

Outputs = Mapping[str, NDArray[Any]]
"""`probabilities` float32 [N, C], or `value` [N] of a model without labels; perhaps `anomaly` float32 [N]."""
Answer = Callable[[NDArray[Any]], Outputs]
"""What Keras says to a batch of network inputs."""
_MEASURED: Sequence[tuple[Literal["tensorflow", "openvino"], Literal["f32", "bf16"]]] = (
    ("tensorflow", "f32"),
    ("openvino", "f32"),
    ("openvino", "bf16"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found out about a saved version."""

    parity: tuple[Parity, ...]
    """One for every way of serving that works on this machine."""
    remarks: tuple[str, ...]
    """A sentence for every way that could not be measured."""
    anomaly_difference: float
    """Of any anomaly score in float32, as a share of it, or of 1, the ordinary one; 0 where there is none."""
    unprepared_difference: float
    """Of any probability, where the graph prepares whole files or texts itself and where `serving.preprocess` does."""


def spread(data: PreparedData, spec: Input) -> list[NDArray[Any]]:
    """Network inputs in batches: all of training and validation, or ENOUGH spread evenly over both."""
    first, total = len(data.train), len(data.train) + len(data.validation)
    rows = np.unique(np.linspace(0, total - 1, min(total, ENOUGH)).astype(int))
    parts = ((data.train, rows[rows < first]), (data.validation, rows[rows >= first] - first))
    return [
        np.asarray(split.batch(some[start : start + _BATCH], spec))
        for split, some in parts
        for start in range(0, len(some), _BATCH)
    ]


def compare(
    folder: Path, card: ModelCard, answer: Answer, batches: Sequence[NDArray[Any]], originals: Sequence[bytes]
) -> Comparison:
    """Load the version in every way it may be served and compare its answers with Keras'.

    A CPU without bfloat16 may imitate it (AVX-512 does, with the same roundings, slowly): what is then
    measured holds for CPUs that have it. One that computes in float32 instead gives the very same
    answers as in float32; that counts as not measured.

    Args:
        folder: a whole version; its card allows every precision.
        card: that card.
        answer: the Keras model.
        batches: what to compare on.
        originals: picture files or texts, for the signature that prepares them itself.
    """
    ours = together([answer(batch) for batch in batches])
    found: list[Parity] = []
    remarks: list[str] = []
    off = 0.0
    of_runtime: defaultdict[str, list[NDArray[Any]]] = defaultdict(list)
    for runtime, precision in _MEASURED:
        options = RuntimeOptions(runtime=runtime, precision=precision, imitate=True)
        if not card.labels and precision != "f32":
            continue  # a number has no first place that could stay the same
        try:
            theirs = answers(folder, options, card, batches)
            if any(np.array_equal(theirs[main(card)], others) for others in of_runtime[runtime]):
                raise FailedPrecondition(f"this CPU computes {precision} as it computes f32, so nothing can be learned")
        except ServingError as error:
            remarks.append(f"{runtime} in {precision} was not measured: {error.message}")
        else:
            of_runtime[runtime].append(theirs[main(card)])
            found.append(measured(options, ours, theirs, card.anomaly_threshold))
            off = max(off, _anomaly_difference(ours, theirs)) if precision == "f32" else off
    return Comparison(tuple(found), tuple(remarks), off, _unprepared(folder, card, answer, originals))


def main(card: ModelCard) -> str:
    """The output that callers want."""
    return "probabilities" if card.labels else "value"


def together(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of several batches, in a row."""
    return {name: np.concatenate([np.asarray(part[name], np.float32) for part in parts]) for name in parts[0]}


def answers(folder: Path, options: RuntimeOptions, card: ModelCard, batches: Sequence[NDArray[Any]]) -> Outputs:
    """What a version answers in one way of serving it.

    Raises:
        FailedPrecondition: it is not to be had in the precision asked for.
        ServingError: whatever the runtime says.
    """
    signature = card.signatures.get("prepared", card.signatures["default"])
    with closing(load(folder, options)) as model:
        if model.precision != options.precision:
            raise FailedPrecondition(f"it is not served in {options.precision} here")
        alias = next(iter(model.signatures[signature].inputs))
        return together([model.run(signature, {alias: batch}) for batch in batches])


def measured(options: RuntimeOptions, ours: Outputs, theirs: Outputs, threshold: float | None) -> Parity:
    """How the answers of one way of serving compare with Keras'; `threshold` is of the anomaly score."""
    assert options.runtime != "auto"
    assert options.precision != "auto"
    if "value" in ours:
        return _of_values(options, ours["value"], theirs["value"])
    return Parity(
        runtime=options.runtime,
        precision=options.precision,
        examples=len(theirs["probabilities"]),
        largest_difference=largest_difference(ours["probabilities"], theirs["probabilities"]),
        top1_agreement=min(
            agreement(ours["probabilities"], theirs["probabilities"]), _same_flags(ours, theirs, threshold)
        ),
    )


def _of_values(options: RuntimeOptions, ours: NDArray[Any], theirs: NDArray[Any]) -> Parity:
    """Differences as shares of the largest value, so that the target's unit does not matter."""
    assert options.runtime != "auto"
    assert options.precision != "auto"
    largest = float(np.abs(ours).max(initial=0.0)) or 1.0
    difference = largest_difference(ours / largest, theirs / largest)
    close = np.isclose(ours, theirs, rtol=0.01, atol=0.001 * largest) if np.isfinite(difference) else np.zeros(1)
    return Parity(
        runtime=options.runtime,
        precision=options.precision,
        examples=len(theirs),
        largest_difference=difference,
        top1_agreement=float(close.mean()),
    )


def _same_flags(ours: Outputs, theirs: Outputs, threshold: float | None) -> float:
    """Share of examples on the same side of the anomaly threshold."""
    if threshold is None or "anomaly" not in ours:
        return 1.0
    near = np.abs(ours["anomaly"] - threshold) <= _NEAR_THRESHOLD * max(threshold, 1.0)
    same = (ours["anomaly"] > threshold) == (theirs["anomaly"] > threshold)
    return float((same | near).mean())


def _anomaly_difference(ours: Outputs, theirs: Outputs) -> float:
    if "anomaly" not in ours:
        return 0.0
    if not np.isfinite(theirs["anomaly"]).all():
        return float("inf")
    return float((np.abs(ours["anomaly"] - theirs["anomaly"]) / np.maximum(ours["anomaly"], 1.0)).max())


def largest_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Of any probability; infinite where the answers are not numbers or not of one shape."""
    if ours.shape != theirs.shape or not np.isfinite(theirs).all():
        return float("inf")
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def agreement(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Share of examples with the same first place; where our two best are close, any first place agrees."""
    if ours.shape != theirs.shape:
        return 0.0
    best = np.sort(ours, axis=1)
    close = best[:, -1] - best[:, -2] <= _CLOSE_CALL
    return float(((ours.argmax(axis=1) == theirs.argmax(axis=1)) | close).mean())


def _unprepared(folder: Path, card: ModelCard, answer: Answer, originals: Collection[bytes]) -> float:
    """The largest difference between both ways to prepare, one file at a time, on TensorFlow."""
    signature = card.signatures.get("encoded", card.signatures["default"])
    largest = 0.0
    if isinstance(card.input, TableInput):
        return largest  # the tensor is what people send
    with closing(load(folder, RuntimeOptions(runtime="tensorflow", precision="f32"))) as model:
        alias = next(iter(model.signatures[signature].inputs))
        for original in originals:
            try:
                theirs = model.run(signature, {alias: np.array([original], object)})["probabilities"]
            except BadInput:
                continue  # a kind of picture that TensorFlow cannot open, such as WebP
            largest = max(largest, largest_difference(answer(_prepared(original, card.input))["probabilities"], theirs))
    return largest


def _prepared(original: bytes, spec: Input) -> NDArray[Any]:
    if isinstance(spec, ImageInput):
        return image.to_pixels(original, spec)[None]
    assert isinstance(spec, TextInput), "rows are not prepared"
    return text.to_batch([original], spec) if spec.bits else np.array([original], object)


def serve(folder: Path, batches: Sequence[NDArray[Any]], card: ModelCard) -> NDArray[Any]:
    """The answers of a published version as a server here would give them, float32 [N, C], or [N] values."""
    signature = card.signatures.get("prepared", card.signatures["default"])
    with closing(load(folder)) as model:
        alias = next(iter(model.signatures[signature].inputs))
        return np.concatenate([model.run(signature, {alias: batch})[main(card)] for batch in batches])
