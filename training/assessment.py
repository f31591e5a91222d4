"""A fitted network is judged: how sure it may be, what is foreign to it, how good it is.

    validation split -> temperature, anomaly threshold      training split -> what is ordinary
    test split, once -> quality, with damage and with foreign pictures

`session.py` calls it between fitting and export. The numbers come from `calibration.py`,
`anomaly.py`, `damage.py` and `quality.py`; `served_model.py` puts them into the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, Quality, RegressionQuality, TextInput
from serving.preprocess import text
from training import anomaly, calibration, damage, foreign_examples, quality, served_model
from training import features as kept_features
from training.anomaly import Detector
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.recipe import Examples
from training.sources import Source

_BATCH = 64
_ORDINARY = 10_000
"""Training examples that the detector is fitted on, at most; spread evenly."""
_DAMAGED = 300
"""Test examples that are damaged, at most; spread evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What was found, and the network that is served."""

    model: Any
    """keras.Model, input -> {"probabilities", "anomaly" if it has one}, or {"value"}."""
    quality: Quality | None
    """None of a model that answers a number: it has its `regression`."""
    regression: RegressionQuality | None = None
    anomaly_threshold: float | None
    validation: NDArray[np.float32]
    """[N, C], the probabilities as served."""
    test: NDArray[np.float32]
    unscaled: NDArray[np.float32]
    """[N, C], the test split before the temperature."""
    scores: Mapping[str, NDArray[np.float32]]
    """Kind of example, `validation`, `test` or foreign, to its anomaly scores; empty without a score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who is judged, and on what."""

    model: Any
    """keras.Model, input -> probabilities [N, C]."""
    input: Any
    """ImageInput, TextInput or TableInput."""
    data: PreparedData
    source: Source
    """Where the data came from; texts are read from it again, to damage them."""
    others: Path | None = None
    """A folder of photos of other things."""
    cache: Path | None = None
    """Where features of a frozen part may have been kept; None: nowhere."""
    progress: Progress


def assess(subject: Subject) -> Assessment:
    """Judge a fitted classifier; every test example is looked at here and nowhere before.

    Raises:
        BadInput: the folder of other photos holds none.
    """
    data, whole = subject.data, served_model.with_features(subject.model)
    validation, features = _answers(whole, subject, "validation")
    temperature = calibration.fit_temperature(validation, data.validation.labels)
    detector = _detector(whole, subject) if features is not None else None
    test, test_features = _answers(whole, subject, "test")
    served = served_model.build(subject.model, temperature, detector)
    as_served = calibration.scaled(test, temperature).astype(np.float32)
    measured = replace(
        quality.measure(as_served, data.test.labels),
        calibration_error_unscaled=calibration.error(test, data.test.labels),
        temperature=temperature,
        robustness=_robustness(served, subject, as_served),
    )
    scores, threshold = {}, None
    if detector is not None and features is not None and test_features is not None:
        scores = {"validation": detector.score(features), "test": detector.score(test_features)}
        threshold = anomaly.threshold(scores["validation"])
        scores |= _foreign_scores(served, subject)
        measured = replace(measured, **_of_scores(scores, threshold))
    return Assessment(
        model=served,
        quality=measured,
        anomaly_threshold=threshold,
        validation=calibration.scaled(validation, temperature).astype(np.float32),
        test=as_served,
        unscaled=test,
        scores=scores,
    )


def _answers(whole: Any, subject: Subject, split: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Probabilities [N, C] and features [N, F] of a split; pictures alone have features."""
    examples: Examples = getattr(subject.data, split)
    found = _asked(whole, _batches(examples, subject), f"Answering, {split}", subject.progress)
    return found["probabilities"], found.get("features") if isinstance(subject.input, ImageInput) else None


def _asked(model: Any, batches: Sequence[Any], what: str, progress: Progress) -> dict[str, NDArray[np.float32]]:
    """Every output of the network for all batches, in a row; a batch may be a function that makes it."""
    parts = []
    with progress.steps(what, len(batches)) as advance:
        for batch in batches:
            parts.append(model.predict_on_batch(batch() if callable(batch) else batch))
            advance()
    return {name: np.concatenate([np.asarray(part[name], np.float32) for part in parts]) for name in parts[0]}


def _batches(examples: Examples, subject: Subject, rows: NDArray[Any] | None = None) -> list[Any]:
    """Functions that make one batch each, of the chosen rows or of all."""
    chosen = np.arange(len(examples)) if rows is None else rows

    def maker(some: NDArray[Any]) -> Any:
        return lambda: np.asarray(examples.batch(some, subject.input))

    return [maker(chosen[start : start + _BATCH]) for start in range(0, len(chosen), _BATCH)]


def _evenly(total: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, total - 1, min(total, most)).astype(np.int64))


def _detector(whole: Any, subject: Subject) -> Detector:
    train = subject.data.train
    if subject.cache is not None:
        alone = keras.Model(whole.inputs, whole.output["features"])
        found = kept_features.kept(alone, subject.data, "train", subject.input, subject.cache)
        if found is not None:
            return anomaly.fit(found, train.labels)
    rows = _evenly(len(train), _ORDINARY)
    found = _asked(whole, _batches(train, subject, rows), "Learning what is ordinary", subject.progress)["features"]
    return anomaly.fit(found, train.labels[rows])


def _robustness(served: Any, subject: Subject, answers: NDArray[np.float32]) -> dict[str, float]:
    """Accuracy on damaged copies of test examples, and on the same ones as they are (`answers`)."""
    test, spec = subject.data.test, subject.input
    rows = _evenly(len(test), _DAMAGED)
    if isinstance(spec, ImageInput):
        copies: Mapping[str, Any] = damage.of_pictures(np.asarray(test.batch(rows, spec)))
    elif isinstance(spec, TextInput) and spec.bits:
        copies = damage.of_texts(_texts(subject, rows))
    else:
        return {}
    found = {"as they are": float((answers.argmax(axis=1) == test.labels)[rows].mean())}
    with subject.progress.steps("Robustness", len(copies) * -(-len(rows) // _BATCH)) as advance:
        for name, make in copies.items():
            damaged = make()
            right = 0
            for start in range(0, len(rows), _BATCH):
                part = damaged[start : start + _BATCH]
                batch = text.to_batch(part, spec) if isinstance(spec, TextInput) else part
                said = np.asarray(served.predict_on_batch(batch)["probabilities"]).argmax(axis=1)
                right += int((said == test.labels[rows[start : start + _BATCH]]).sum())
                advance()
            found[name] = right / len(rows)
    return found


def _texts(subject: Subject, rows: NDArray[Any]) -> list[bytes]:
    """Test texts as they lie in the source."""
    raw = {one.name: one for one in subject.source.read().test}
    return [raw[subject.data.test.names[row]].read() for row in rows]


def _foreign_scores(served: Any, subject: Subject) -> dict[str, NDArray[np.float32]]:
    drawings = subject.source.kind != "sample"
    kinds = foreign_examples.pictures(subject.input, drawings=drawings, others=subject.others)
    found = {}
    for kind, pixels in kinds.items():
        batches = [pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)]
        found[kind] = _asked(served, batches, f"Foreign: {kind}", subject.progress)["anomaly"]
    return found


def _of_scores(scores: Mapping[str, NDArray[np.float32]], threshold: float) -> dict[str, Any]:
    """The card's figures of the score."""
    flagged = {kind: float((values > threshold).mean()) for kind, values in scores.items() if kind != "validation"}
    foreign = {kind: values for kind, values in scores.items() if kind not in ("validation", "test")}
    return {
        "anomaly": flagged,
        "auroc": {kind: anomaly.auroc(scores["test"], values) for kind, values in foreign.items()},
    }
