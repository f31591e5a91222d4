"""A fitted model becomes a published version: saved, measured, described, then renamed into place.

`saved_model_writer.py` and `warmup_writer.py` write, `parity.py` loads the result back through
every runtime, and here is decided whether it may be served. Until the last rename no reader sees
anything, and a refusal leaves nothing behind.
"""

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import repository
from serving.card import (
    Dataset,
    ImageInput,
    Input,
    ModelCard,
    Parity,
    Precision,
    Quality,
    RegressionQuality,
    Task,
)
from serving.errors import FailedPrecondition
from training import parity, quantized, saved_model_writer, warmup_writer
from training.gate import Verdict
from training.parity import Comparison

LARGEST_DIFFERENCE = 1e-4
"""In any probability, between Keras and a float32 runtime."""
LARGEST_ANOMALY_DIFFERENCE = 1e-3
"""In any anomaly score, as a share of it, between Keras and a float32 runtime."""
LEAST_AGREEMENT = 0.995
"""Share of first places that a precision must keep to be allowed."""
_LIBRARIES = ("keras", "numpy", "openvino", "pillow", "simplejpeg", "tensorflow")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A fitted model and all that its card will say."""

    name: str
    model: Any
    """keras.Model, or any callable for a model that takes strings by itself."""
    task: Task
    labels: tuple[str, ...]
    input: Input
    dataset: Dataset
    quality: Quality | None
    regression: RegressionQuality | None = None
    """Instead of the quality, of a model that answers a number."""
    anomaly_threshold: float | None = None
    """Of the output `anomaly`, where the model has it."""
    batches: Sequence[NDArray[Any]]
    """Network inputs to compare runtimes on, from `parity.spread`."""
    originals: Sequence[bytes]
    """Some files or texts, as people send them."""
    int8: quantized.Pictures | None = None
    """What to make and judge an int8 form with; None: none is made."""
    training: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    limits: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What came out."""

    card: ModelCard
    folder: Path | None
    """None where the export was only tried; aside, where nobody serves it, if the gate refused it."""
    remarks: tuple[str, ...]
    verdict: Verdict | None = None
    """What the gate said; None where there is none."""

    @property
    def refused(self) -> bool:
        """Whether it was put aside."""
        return bool(self.card.gate.get("refusals")) and not self.card.gate["forced"]


Gate = Callable[[Path, ModelCard], Verdict]
"""The folder and the card of a version that is all but published -> how it compares with the one that serves."""


def publish(
    candidate: Candidate, models: Path, *, trial: bool = False, gate: Gate | None = None, force: bool = False
) -> Published:
    """Write the model's next free version.

    Args:
        candidate: what to publish.
        models: the models folder.
        trial: do all of it somewhere else and throw it away.
        gate: asked before the version is published; what it refuses is put aside.
        force: publish it all the same.

    Raises:
        FailedPrecondition: a runtime answers otherwise than Keras; nothing is published.
        OSError: no space, no permission; nothing is published.
    """
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory())) if trial else models
        with repository.staging(root, candidate.name) as staged:
            published = _write(candidate, staged.folder, staged.version, gate, force)
            staged.rejected = published.refused
    return replace(published, folder=None if trial else staged.destination)


def _write(candidate: Candidate, folder: Path, number: int, gate: Gate | None, force: bool) -> Published:
    """Everything of a version, card last."""
    with saved_model_writer.disk_errors():
        roles = saved_model_writer.write(candidate.model, candidate.input, folder)
        warmup_writer.write(folder, candidate.name, candidate.input, roles)
    card = _first_card(candidate, number, roles)
    _write_card_file(folder, card)
    found = parity.compare(folder, card, _answering(candidate.model), candidate.batches, candidate.originals)
    card = replace(card, **_judged(found, card))
    remarks = found.remarks
    if candidate.int8 is not None:
        card, more = quantized.added(folder, card, _answering(candidate.model), candidate.int8)
        remarks += more
    _write_card_file(folder, card)  # what it now allows, so that the gate meets the version as servers will
    verdict = gate(folder, card) if gate else None
    card = replace(card, gate=verdict.for_card(forced=force) if verdict else {})
    saved_model_writer.write_card(folder, card.to_json())
    card = replace(card, files=repository.checksums(folder))
    _write_card_file(folder, card)
    repository.verify(folder, card)
    return Published(card, folder, remarks, verdict)


def _answering(model: Any) -> parity.Answer:
    def answer(batch: NDArray[Any]) -> parity.Outputs:
        asked = model.predict_on_batch if hasattr(model, "predict_on_batch") else model
        said = asked(batch)
        named = said if isinstance(said, dict) else {"probabilities": said}
        return {name: np.asarray(values, np.float32) for name, values in named.items()}

    return answer


def _first_card(candidate: Candidate, number: int, roles: Mapping[str, str]) -> ModelCard:
    """The card before anything is measured; it allows every precision, so that every one can be tried."""
    return ModelCard(
        name=candidate.name,
        version=number,
        task=candidate.task,
        labels=candidate.labels,
        input=candidate.input,
        signatures=roles,
        dataset=candidate.dataset,
        quality=candidate.quality,
        regression=candidate.regression,
        anomaly_threshold=candidate.anomaly_threshold,
        allowed_precisions=("f32", "bf16", "int8"),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        training=candidate.training,
        libraries=_libraries(),
        licence=candidate.licence,
        limits=candidate.limits,
    )


def _judged(found: Comparison, card: ModelCard) -> dict[str, Any]:
    """The card's fields that the comparison settles.

    Raises:
        FailedPrecondition: float32 differs from Keras, or could not be measured at all.
    """
    exact = [one for one in found.parity if one.precision == "f32"]
    if not exact:
        raise FailedPrecondition(f"{card.name} is not published, no runtime could load it: {'; '.join(found.remarks)}")
    what = "a probability" if card.labels else "its value, as a share of the largest,"
    for one in exact:
        if one.largest_difference > LARGEST_DIFFERENCE:
            raise FailedPrecondition(
                f"{card.name} is not published: {one.runtime} in float32 differs from Keras by "
                f"{one.largest_difference:.2g} in {what}, and {LARGEST_DIFFERENCE:g} is allowed"
            )
    if found.anomaly_difference > LARGEST_ANOMALY_DIFFERENCE:
        raise FailedPrecondition(
            f"{card.name} is not published: in float32 an anomaly score differs from Keras' by "
            f"{found.anomaly_difference:.2g} of it, and {LARGEST_ANOMALY_DIFFERENCE:g} is allowed"
        )
    image = isinstance(card.input, ImageInput)
    if not image and found.unprepared_difference > LARGEST_DIFFERENCE:
        raise FailedPrecondition(
            f"{card.name} is not published: given strings it differs from Keras by {found.unprepared_difference:.2g} "
            "in a probability, so its graph prepares texts otherwise than serving.preprocess.text does"
        )
    return {
        "parity": found.parity,
        "allowed_precisions": _allowed(found.parity),
        "encoded_tolerance": found.unprepared_difference if image else None,
    }


def _allowed(found: Sequence[Parity]) -> tuple[Precision, ...]:
    """A precision is allowed where it was measured and every runtime kept its first places."""
    others = sorted({one.precision for one in found} - {"f32"})
    good = (
        kind for kind in others if all(one.top1_agreement >= LEAST_AGREEMENT for one in found if one.precision == kind)
    )
    return ("f32", *good)


def _write_card_file(folder: Path, card: ModelCard) -> None:
    path = folder / repository.CARD_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(card.to_json() + "\n")


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
