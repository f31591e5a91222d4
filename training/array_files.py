"""Source `arrays`: data sets of little pictures as their authors give them out, in files on this machine.

    *.npz                                            arrays x_train, y_train, x_test, y_test, as Keras keeps MNIST
    train-images-idx3-ubyte, t10k-..., with or without .gz           MNIST's own files; Fashion-MNIST's too
    data_batch_1.bin ... test_batch.bin, or train.bin and test.bin   CIFAR-10's and CIFAR-100's binary version

CIFAR's Python version is a pickle, which can run code of whoever made it: it is refused. Pictures leave
here as PNG files, so that they are prepared by the same code as any other.
"""

import gzip
import hashlib
import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.errors import BadInput
from training.recipe import SourceKind
from training.sources import RawData, RawExample, split_train_test

Pictures = NDArray[np.uint8]
Split = tuple[Pictures, NDArray[np.int64]]
"""Pictures [N, H, W] or [N, H, W, 3] and the class of each."""

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_SIDE = 32
"""Of CIFAR's pictures."""


@dataclass(frozen=True)
class Arrays:
    """Training and test pictures in memory; a tenth of the former becomes the validation split."""

    dataset: str
    names: tuple[str, ...]
    """Of the classes, in the order of their numbers."""
    train: Split
    test: Split
    kind: SourceKind = "arrays"

    def identity(self) -> str:
        """SHA-256 over all arrays."""
        return self._checksum

    @cached_property
    def _checksum(self) -> str:
        whole = hashlib.sha256(repr(self.names).encode())
        for array in (*self.train, *self.test):
            whole.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).data)
        return whole.hexdigest()

    def read(self) -> RawData:
        """Name every picture by its place; the files are made when they are read."""
        train, test = (self._examples(split, name) for split, name in ((self.train, "train"), (self.test, "test")))
        return split_train_test(train, test, self._checksum)

    def _examples(self, split: Split, name: str) -> list[RawExample]:
        pictures, classes = split
        if len(pictures) != len(classes) or pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
            found = f"pictures {pictures.dtype} {pictures.shape}"
            raise BadInput(f"{self.dataset}: {name} has {len(classes)} labels for {found}, not bytes [N, H, W]")
        if len(classes) and not 0 <= classes.min() <= classes.max() < len(self.names):
            raise BadInput(f"{self.dataset}: {name} has the class {classes.max()}, and there are {len(self.names)}")
        numbers = enumerate(classes.tolist())
        return [RawExample(f"{name}/{row}", self.names[label], partial(_png, pictures, row)) for row, label in numbers]


def _png(pictures: Pictures, row: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pictures[row]).save(file, "PNG", compress_level=1)
    return file.getvalue()


def holds(place: Path) -> bool:
    """Whether a file or folder looks like one of these."""
    return bool(_npz(place) or (place.is_dir() and (_named(place, _IDX[0]) or list(place.rglob("*.bin")))))


def open_arrays(place: Path, dataset: str, names: tuple[str, ...]) -> Arrays:
    """The data set in a file or folder.

    Raises:
        BadInput: there is none of the formats, or it is damaged; the sentence says which files were looked for.
    """
    try:
        if archive := _npz(place):
            train, test = _from_npz(archive)
        elif place.is_dir() and _named(place, _IDX[0]):
            train, test = _from_idx(place)
        elif place.is_dir() and (batches := sorted(place.rglob("*.bin"))):
            train, test = _from_cifar(batches, 2 if len(names) == 100 else 1)
        else:
            raise BadInput(_missing(place))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{place} cannot be read as {dataset}: {error}; copy it again") from error
    return Arrays(dataset, names, train, test)


def _missing(place: Path) -> str:
    pickled = place.is_dir() and (list(place.rglob("data_batch_1")) or list(place.rglob("meta")))
    hint = "; CIFAR's Python version is a pickle, take the binary version" if pickled else ""
    return f"{place} holds no data set: an .npz file, MNIST's idx files or CIFAR's .bin files{hint}"


def _npz(place: Path) -> Path | None:
    found = [place] if place.is_file() else sorted(place.glob("*.npz")) if place.is_dir() else []
    return next((path for path in found if path.suffix == ".npz"), None)


def _from_npz(path: Path) -> tuple[Split, Split]:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as held:
        parts = [held[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    return split_of(*parts[:2]), split_of(*parts[2:])


def split_of(pictures: NDArray[np.uint8], classes: NDArray[Any]) -> Split:
    """One split, classes as a plain row of numbers."""
    return pictures, classes.reshape(-1).astype(np.int64)


def _named(folder: Path, name: str) -> Path | None:
    wanted = {name, f"{name}.gz", name.replace("-idx", ".idx")}
    return next((path for path in sorted(folder.rglob("*")) if path.name in wanted), None)


def _from_idx(folder: Path) -> tuple[Split, Split]:
    found = [_named(folder, name) for name in _IDX]
    if None in found:
        raise BadInput(f"{folder} has no {_IDX[found.index(None)]}, with or without .gz")
    arrays = [_idx(path) for path in found if path]
    return split_of(arrays[0], arrays[1]), split_of(arrays[2], arrays[3])


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the format of MNIST's home page: 0, 0, 8, dimensions, their sizes, the bytes."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if data[:3] != b"\0\0\x08" or len(data) < 4 or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path.name} is no idx file of bytes")
    shape = np.frombuffer(data, ">u4", data[3], 4).tolist()
    start = 4 + 4 * data[3]
    if len(data) != start + math.prod(shape):
        raise ValueError(f"{path.name} has {len(data) - start} bytes where its head says {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _from_cifar(batches: Sequence[Path], heads: int) -> tuple[Split, Split]:
    """Rows of one label (CIFAR-100: coarse, then fine) and 3,072 bytes, channel by channel."""
    test = [path for path in batches if path.name.startswith("test")]
    train = [path for path in batches if "batch" in path.name or path.name.startswith("train") if path not in test]
    if not (train and test):
        found = ", ".join(path.name for path in batches)
        raise BadInput(f"{batches[0].parent} needs training and test batches, and has {found}")
    return _cifar_split(train, heads), _cifar_split(test, heads)


def _cifar_split(paths: Sequence[Path], heads: int) -> Split:
    size = heads + 3 * _SIDE * _SIDE
    parts = [np.fromfile(path, np.uint8) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if len(part) % size:
            raise ValueError(f"{path.name} is cut short: {len(part)} bytes are not rows of {size}")
    rows = np.concatenate(parts).reshape(-1, size)
    pictures = rows[:, heads:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return split_of(np.ascontiguousarray(pictures), rows[:, heads - 1])
