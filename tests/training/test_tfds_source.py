import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
pytest.importorskip("tensorflow_datasets", reason="needs: pip install tensorflow-datasets")
pytest.importorskip("importlib_resources", reason="TensorFlow Datasets needs: pip install importlib-resources")

import tensorflow_datasets as tfds

from serving.card import ImageInput
from serving.errors import BadInput, FailedPrecondition, Unavailable
from serving.preprocess import image
from training import sample_pictures, tfds_source
from training.prepared_cache import prepared
from training.tfds_source import TensorFlowDataset

from .conftest import SILENT

THREE_WAYS = ("train[:80%]", "train[80%:90%]", "train[90%:]")


def drawn(number: int) -> tuple[str, bytes]:
    label = ("star", "circle")[number % 2]
    return label, sample_pictures.draw(label, np.random.default_rng(number))


class DrawnShapes(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # no types
    """A data set as TensorFlow Datasets stores one, with labels in an order of its own."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["star", "circle"])}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:

        for number in range(60):
            label, file = drawn(number)
            yield number, {"image": io.BytesIO(file), "label": label}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tensorflow_datasets")
    DrawnShapes(data_dir=path).download_and_prepare()
    return path


def test_pictures_come_undecoded_and_are_prepared_like_any_other(folder: Path, tmp_path: Path) -> None:
    spec = ImageInput(height=12, width=12)
    data = prepared(TensorFlowDataset("drawn_shapes", THREE_WAYS, folder), spec, tmp_path, SILENT, lambda labels: None)

    assert data.labels == ("circle", "star")
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 6, 6)
    ours = {image.to_pixels(file, spec).tobytes(): label for label, file in map(drawn, range(60))}
    for row, label in enumerate(data.test.labels):
        assert ours[data.test.batch([row], spec).tobytes()] == data.labels[label]


def test_the_identity_knows_the_splits(folder: Path) -> None:
    first = TensorFlowDataset("drawn_shapes", THREE_WAYS, folder)
    other = TensorFlowDataset("drawn_shapes", ("train[:50%]", "train[50%:60%]", "train[60%:]"), folder)

    assert first.identity() == TensorFlowDataset("drawn_shapes", THREE_WAYS, folder).identity()
    assert first.identity() != other.identity()


def test_a_split_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="no splits"):
        TensorFlowDataset("drawn_shapes", ("train", "validation", "test"), folder).read()


def test_a_name_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises((BadInput, Unavailable), match="unicorns"):
        TensorFlowDataset("unicorns_and_dragons", THREE_WAYS, tmp_path).read()


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(tfds_source, "import_module", missing)

    with pytest.raises(FailedPrecondition, match="pip install tensorflow-datasets"):
        TensorFlowDataset("cats_vs_dogs", THREE_WAYS).identity()
