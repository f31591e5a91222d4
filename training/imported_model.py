"""A team's own trained classifier becomes a published version, verified like ours.

A `.keras` file or a SavedModel folder comes in (`foreign_model.py` opens it). What is not told is
found out by asking it: its input's size from its shape, what its outputs are from its answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import repository
from serving.card import Dataset, ImageInput, Quality, Task, TextInput
from serving.errors import BadInput
from serving.preprocess import image
from training import datasets, export, fit, foreign_model, parity, quality, quantized, sample_pictures, sample_texts
from training.datasets import SourceChoice
from training.export import Candidate, Published
from training.foreign_model import Classifier, Scale
from training.prepared_cache import PreparedData
from training.progress import Progress

_SAMPLES = 64
_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Import:
    """What the caller says about a model."""

    path: Path
    name: str
    labels_file: Path
    task: Task
    scale: Scale = "none"
    test_dir: Path | None = None
    int8: bool = False
    """Make, measure and judge an int8 form as well; needs `test_dir`."""
    models: Path = Path("models")
    cache: Path = Path("data-cache")


def publish(wanted: Import, progress: Progress) -> Published:
    """Find out the model's card, verify it and publish it.

    Raises:
        ServingError: the model, its labels or its test data will not do; the sentence says why.
        OSError: no space or no permission; nothing is published.
    """
    repository.check_name(wanted.name)
    if wanted.int8 and wanted.test_dir is None:
        raise BadInput("--int8 needs pictures that it is fitted to and judged by: name them with --test-dir")
    labels = _labels(wanted.labels_file)
    foreign = foreign_model.open_model(wanted.path, wanted.task)
    spec = foreign.input
    if wanted.int8:
        quantized.check(spec, wanted.name)
    originals = _sample_pictures() if isinstance(spec, ImageInput) else _sample_texts()
    samples = _network_inputs(originals, spec)
    model = foreign_model.classifier(foreign, wanted.scale, samples, labels)
    data = _test_data(wanted, spec, labels, progress)
    progress.say("Exporting, loading back and comparing with the original")
    return export.publish(_candidate(wanted, model, spec, labels, data, originals, samples, progress), wanted.models)


def _candidate(
    wanted: Import,
    model: Classifier,
    spec: ImageInput | TextInput,
    labels: tuple[str, ...],
    data: PreparedData | None,
    originals: Sequence[bytes],
    samples: list[NDArray[Any]],
    progress: Progress,
) -> Candidate:
    return Candidate(
        name=wanted.name,
        model=model,
        task=wanted.task,
        labels=labels,
        input=spec,
        dataset=_dataset(wanted, data),
        quality=_measured(model, data, spec, wanted, progress) if data else None,
        batches=parity.spread(data, spec) if data else samples,
        originals=data.originals if data else originals,
        int8=quantized.pictures(data, spec, labels) if data and wanted.int8 else None,
        training={"imported": wanted.path.name, "scale": wanted.scale, "outputs": model.outputs},
        limits="Imported: what it learned from is not known here.",
    )


def _labels(path: Path) -> tuple[str, ...]:
    """One label per line, in the order of the outputs."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as a list of labels, one per line: {error}") from error
    labels = tuple(line.strip() for line in lines if line.strip())
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise BadInput(f"{path} must hold at least two labels, one per line, each once; it has {len(labels)} lines")
    return labels


def _sample_pictures() -> list[bytes]:
    """Drawn pictures: where no real ones are given, runtimes are compared on these."""
    random = np.random.default_rng(0)
    shapes = sample_pictures.SHAPES
    return [sample_pictures.draw(shapes[number % len(shapes)], random) for number in range(_SAMPLES)]


def _sample_texts() -> list[bytes]:
    random = np.random.default_rng(0)
    return [sample_texts.write(sample_texts.OPINIONS[number % 2], random).encode() for number in range(_SAMPLES)]


def _network_inputs(originals: Sequence[bytes], spec: ImageInput | TextInput) -> list[NDArray[Any]]:
    if isinstance(spec, ImageInput):
        whole: NDArray[Any] = np.stack([image.to_pixels(original, spec) for original in originals])
    else:
        whole = np.array(list(originals), object)
    return [whole[start : start + _BATCH] for start in range(0, len(whole), _BATCH)]


def _test_data(
    wanted: Import, spec: ImageInput | TextInput, labels: tuple[str, ...], progress: Progress
) -> PreparedData | None:
    if wanted.test_dir is None:
        return None
    if not isinstance(spec, ImageInput):
        raise BadInput("--test-dir measures image models; a model that takes strings is compared on sample texts")
    choice = SourceChoice(data_dir=wanted.test_dir)
    source = datasets.open_source(datasets.unknown_source(wanted.name), choice)
    data = datasets.load(source, spec, network=wanted.name, labels=None, cache=wanted.cache, progress=progress)
    if set(data.labels) != set(labels):
        odd = min(set(data.labels) ^ set(labels))
        raise BadInput(f"the label {odd!r} is not both in {wanted.labels_file} and a folder of {wanted.test_dir}")
    return data


def _measured(
    model: Classifier, data: PreparedData, spec: ImageInput | TextInput, wanted: Import, progress: Progress
) -> Quality:
    """On test/ where there is one, else on all pictures: none of them was learned from here."""
    has_test = wanted.test_dir is not None and (wanted.test_dir / "test").is_dir()
    splits = (data.test,) if has_test else (data.train, data.validation, data.test)
    places = np.array([model.labels.index(label) for label in data.labels])
    answers = np.concatenate([fit.answers(model, split, spec, progress) for split in splits])
    return quality.measure(answers, places[np.concatenate([split.labels for split in splits])])


def _dataset(wanted: Import, data: PreparedData | None) -> Dataset:
    if data is None:
        return Dataset(name="unknown", source="unknown")
    return Dataset(name=wanted.name, source="directory", test=len(data.test), sha256=data.sha256)
