"""Little pictures from their authors' files, written here in the very same formats."""

import gzip
import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from serving.card import ImageInput
from serving.errors import BadInput, ServingError
from training import array_files, datasets, recipes
from training.datasets import SourceChoice
from training.prepared_cache import prepared
from training.recipe import Recipe

from .conftest import SILENT

Split = tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.uint8]]]


def drawn(shape: tuple[int, ...], classes: int, seed: int) -> Split:
    """Noise whose mean rises with the class, at least eight pictures of each."""
    random = np.random.default_rng(seed)
    labels = np.arange(8 * classes) % classes
    noise = random.integers(0, 40, (len(labels), *shape))
    return (noise + (200 * labels / classes).reshape(-1, *[1] * len(shape))).astype(np.uint8), labels.astype(np.uint8)


def write_npz(folder: Path, train: Split, test: Split) -> None:
    np.savez(folder / "mnist.npz", x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])


def write_idx(folder: Path, train: Split, test: Split, *, zipped: bool = True) -> None:
    for name, (pictures, labels) in (("train", train), ("t10k", test)):
        for kind, array in (("images-idx3", pictures), ("labels-idx1", labels)):
            data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
            path = folder / f"{name}-{kind}-ubyte"
            path.with_name(path.name + ".gz" * zipped).write_bytes(gzip.compress(data) if zipped else data)


def write_plain_idx(folder: Path, train: Split, test: Split) -> None:
    write_idx(folder, train, test, zipped=False)


def write_cifar10(folder: Path, train: Split, test: Split) -> None:
    inner = folder / "cifar-10-batches-bin"
    inner.mkdir()
    halves = len(train[1]) // 2
    batches = {
        "data_batch_1.bin": (train[0][:halves], train[1][:halves]),
        "data_batch_2.bin": (train[0][halves:], train[1][halves:]),
        "test_batch.bin": test,
    }
    for name, (pictures, labels) in batches.items():
        (inner / name).write_bytes(rows(pictures, labels[:, None]))


def write_cifar100(folder: Path, train: Split, test: Split) -> None:
    for name, (pictures, labels) in (("train.bin", train), ("test.bin", test)):
        (folder / name).write_bytes(rows(pictures, np.stack([labels // 5, labels], axis=1)))


def rows(pictures: Any, heads: Any) -> bytes:
    planes = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return np.concatenate([heads.astype(np.uint8), planes], axis=1).tobytes()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("mnist", write_npz, id="npz"),
        pytest.param("fashion_mnist", write_idx, id="idx-gz"),
        pytest.param("mnist", write_plain_idx, id="idx"),
        pytest.param("cifar10", write_cifar10, id="cifar10"),
        pytest.param("cifar100", write_cifar100, id="cifar100"),
    ],
)
def test_every_format_gives_its_pictures_with_their_labels(
    name: str, write: Callable[[Path, Split, Split], None], tmp_path: Path
) -> None:
    recipe = recipes.find(name)
    assert isinstance(recipe.input, ImageInput)
    names = recipe.source.class_names
    shape = (28, 28) if recipe.input.channels == 1 else (32, 32, 3)
    train, test = (drawn(shape, len(names), seed) for seed in (1, 2))
    write(tmp_path, train, test)

    source = datasets.open_source(recipe.source, SourceChoice(data_dir=tmp_path))
    data = prepared(source, recipe.input, tmp_path / "cache", SILENT, lambda labels: None)

    assert source.kind == "arrays"
    assert data.labels == recipe.labels
    assert len(data.test) == len(test[1])
    assert len(data.train) + len(data.validation) == len(train[1])
    row = int(data.test.names[5].split("/")[1])
    np.testing.assert_array_equal(data.test.batch([5], recipe.input)[0].squeeze(), test[0][row])
    assert data.labels[data.test.labels[5]] == names[test[1][row]]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_colored_photo_of_any_size_becomes_the_model_s_small_grey_picture(name: str) -> None:
    from serving.preprocess.image import to_pixels

    file = io.BytesIO()
    Image.new("RGB", (640, 480), (255, 0, 0)).save(file, "PNG")
    spec = recipes.find(name).input
    assert isinstance(spec, ImageInput)

    pixels = to_pixels(file.getvalue(), spec)

    assert pixels.shape == (28, 28, 1)
    assert np.unique(pixels).tolist() == [76]  # 0.299 of 255: luma


def test_class_folders_are_a_local_copy_too(tmp_path: Path) -> None:
    pictures, labels = drawn((28, 28), 10, 1)
    for row, label in enumerate(labels.tolist()):
        for split in ("train", "test"):
            folder = tmp_path / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[row] + (split == "test")).save(folder / f"{row}.png")

    source = datasets.open_source(recipes.find("mnist").source, SourceChoice(data_dir=tmp_path))

    assert source.kind == "directory"
    assert source.read().labels == recipes.find("mnist").labels


def open_mnist(folder: Path) -> Any:
    return array_files.open_arrays(folder, "mnist", tuple("0123456789")).read()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no data set"):
        open_mnist(tmp_path)

    split = drawn((28, 28), 10, 1)
    write_idx(tmp_path, split, split, zipped=False)
    cut(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(BadInput, match="train-images-idx3-ubyte has 62713 bytes where its head says"):
        open_mnist(tmp_path)

    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(BadInput, match=r"no t10k-labels-idx1-ubyte, with or without \.gz"):
        open_mnist(tmp_path)


def test_a_gzip_file_that_the_disk_spoiled_and_one_cut_in_its_head_are_refused(tmp_path: Path) -> None:
    split = drawn((28, 28), 10, 1)
    write_idx(tmp_path, split, split)
    spoiled = tmp_path / "train-images-idx3-ubyte.gz"
    good = spoiled.read_bytes()
    spoiled.write_bytes(good[:100] + bytes(64) + good[164:])
    with pytest.raises(BadInput, match="cannot be read as mnist"):
        open_mnist(tmp_path)

    spoiled.write_bytes(gzip.compress(b"\0\0\x08"))
    with pytest.raises(BadInput, match="no idx file of bytes"):
        open_mnist(tmp_path)


def test_a_cut_npz_and_a_cut_batch_are_refused(tmp_path: Path) -> None:
    split = drawn((28, 28), 10, 1)
    write_npz(tmp_path, split, split)
    cut(tmp_path / "mnist.npz")
    with pytest.raises(BadInput, match="cannot be read as mnist"):
        open_mnist(tmp_path)

    (tmp_path / "cifar").mkdir()
    colored = drawn((32, 32, 3), 10, 1)
    write_cifar10(tmp_path / "cifar", colored, colored)
    cut(tmp_path / "cifar" / "cifar-10-batches-bin" / "data_batch_2.bin")
    with pytest.raises(BadInput, match=r"data_batch_2\.bin is cut short"):
        array_files.open_arrays(tmp_path / "cifar", "cifar10", tuple("abcdefghij"))


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    pictures, labels = drawn((28, 28), 10, 1)
    write_npz(tmp_path, (pictures, labels + 1), (pictures, labels))

    with pytest.raises(BadInput, match="train has the class 10, and there are 10"):
        open_mnist(tmp_path)


class Trap:
    """Pickled, it would make a file where it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(BadInput, match="is a pickle, take the binary version"):
        open_mnist(tmp_path)

    held = np.empty(1, object)
    held[0] = Trap(mark)
    np.savez(tmp_path / "mnist.npz", x_train=held, y_train=held, x_test=held, y_test=held)
    with pytest.raises(BadInput, match="cannot be read as mnist"):
        open_mnist(tmp_path)

    assert not mark.exists()


def fashion() -> Recipe:
    return recipes.find("fashion_mnist")


def test_keras_own_copy_is_found_in_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # KERAS_HOME, which is read at import
    (tmp_path / "datasets" / "fashion-mnist").mkdir(parents=True)
    split = drawn((28, 28), 10, 3)
    write_idx(tmp_path / "datasets" / "fashion-mnist", split, split)

    source = datasets.open_source(fashion().source, SourceChoice())

    assert source.kind == "keras"
    assert source.read().labels == fashion().labels


def test_without_a_copy_and_a_network_the_sentence_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # KERAS_HOME, which is read at import
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # urllib keeps the proxies of its first request for all later ones, also those of other tests.
    monkeypatch.setattr("urllib.request._opener", None)

    with pytest.raises(
        ServingError, match=r"fashion_mnist cannot be downloaded by Keras .* give --data-dir a local copy"
    ):
        datasets.open_source(fashion().source, SourceChoice())
