"""One small trained and published model for all tests that look at one, and data in every format."""

import io
import tarfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import sample_pictures, sample_texts
from training.progress import Progress

SILENT = Progress(visible=False)
_KERAS_AND_NUMPY = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keras 3.15 reads its variables in a way that NumPy 2 deprecates; that is theirs to mend."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(_KERAS_AND_NUMPY))


def write_pictures(folder: Path, counts: dict[str, int]) -> Path:
    """Fill class folders with drawn JPEG files; counts such as {"train/circle": 20}."""
    for place, count in counts.items():
        (folder / place).mkdir(parents=True)
        random = np.random.default_rng(len(place) + count)
        for number in range(count):
            shape = place.rsplit("/", 1)[-1]
            (folder / place / f"{shape}.{number}.jpg").write_bytes(sample_pictures.draw(shape, random))
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in train/ and test/."""
    counts = {"train/circle": 40, "train/star": 40, "test/circle": 8, "test/star": 8}
    return write_pictures(tmp_path_factory.mktemp("pictures"), counts)


@pytest.fixture(scope="session")
def review_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar.gz in the layout of IMDB's, with a reduced number of generated reviews."""
    path = tmp_path_factory.mktemp("archive") / "aclImdb_v1.tar.gz"
    random = np.random.default_rng(0)
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, "aclImdb/README", b"generated")
        for split, count in (("train", 30), ("test", 10)):
            for number in range(count):
                for opinion in sample_texts.OPINIONS:
                    text = sample_texts.write(opinion, random).encode()
                    _add(archive, f"aclImdb/{split}/{opinion}/{number}_7.txt", text)
        _add(archive, "aclImdb/train/unsup/0_0.txt", b"nobody said what this is")
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole session, as a person has."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `trained` publishes into."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def trained(pictures: Path, cache: Path, models: Path) -> Any:
    """The Outcome of the tiny recipe, trained and published once."""
    tiny, session = (import_module(name) for name in ("tests.training.tiny", "training.session"))  # need TensorFlow
    return session.train(tiny.order_of(pictures, cache, models), SILENT)
