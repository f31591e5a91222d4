"""What a run keeps so that its report can be made later, without the data set.

    answers-validation.npz, answers-test.npz    probabilities as served, truths, names
    anomaly.npz                                 scores of every kind of example
    examples.json                               the most wrong and some other test examples, to look at

`assessment.py` found it, `report.py` shows it.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.card import ImageInput, TextInput
from serving.repository import write_whole
from training.assessment import Assessment, Subject
from training.run_folder import Answers, RunFolder

MOST_WRONG = 25
_SAMPLES = 12
_SIDE = 160
"""Pixels of a thumbnail, at most."""
_LETTERS = 700
"""Of a text, at most; the middle is left out."""


def keep(folder: RunFolder, judged: Assessment, subject: Subject) -> None:
    """Write it all into the run's folder.

    Raises:
        OSError: no space or no permission.
    """
    data = subject.data
    folder.write_answers("validation", Answers(judged.validation, data.validation.labels, data.validation.names))
    folder.write_answers("test", Answers(judged.test, data.test.labels, data.test.names))
    if judged.scores:
        write_whole(folder.path / "anomaly.npz", lambda file: np.savez(file, **judged.scores))  # type: ignore[arg-type]
    rows = {"wrong": most_wrong(judged.test, data.test.labels), "sample": _samples(judged.test)}
    shown = _looks(subject, [row for group in rows.values() for row in group])
    examples = [
        {"group": group, "name": data.test.names[row], "truth": int(data.test.labels[row])}
        | {"probabilities": [round(float(value), 5) for value in judged.test[row]]}
        | {"score": float(judged.scores["test"][row]) if judged.scores else None}
        | shown[row]
        for group, some in rows.items()
        for row in some
    ]
    write_whole(folder.path / "examples.json", lambda file: file.write(json.dumps(examples).encode()))
    assert judged.quality is not None, "a model that answers a number keeps no evidence of this kind"
    folder.update(figures=asdict(judged.quality), anomaly_threshold=judged.anomaly_threshold)


def most_wrong(probabilities: NDArray[Any], labels: NDArray[Any]) -> list[int]:
    """The rows of wrong answers, those first that gave the truth the least probability; 25 at most."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(probabilities[wrong, labels[wrong]], kind="stable")
    return [int(row) for row in wrong[order][:MOST_WRONG]]


def _samples(probabilities: NDArray[Any]) -> list[int]:
    """Test examples by chance, the same in every run."""
    random = np.random.default_rng(0)
    return sorted(int(row) for row in random.permutation(len(probabilities))[:_SAMPLES])


def _looks(subject: Subject, rows: Sequence[int]) -> dict[int, dict[str, str]]:
    """Row to `picture` (a JPEG file in base64) or `text`, of what can be looked at."""
    if isinstance(subject.input, ImageInput):
        pixels = np.asarray(subject.data.test.batch(list(rows), subject.input))
        return {row: {"picture": _thumbnail(picture)} for row, picture in zip(rows, pixels, strict=True)}
    if isinstance(subject.input, TextInput):
        raw = {one.name: one for one in subject.source.read().test}
        contents = {row: raw[subject.data.test.names[row]].read().decode(errors="replace") for row in rows}
        return {row: {"text": _shortened(content)} for row, content in contents.items()}
    return {row: {} for row in rows}


def _thumbnail(picture: NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture.squeeze(axis=2) if picture.shape[2] == 1 else picture)
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()


def _shortened(text: str) -> str:
    if len(text) <= _LETTERS:
        return text
    return f"{text[: _LETTERS // 2]} […] {text[-_LETTERS // 2 :]}"
