"""Source `sample`: data made by code, for a first run with no network and no data at hand.

Pictures come from `sample_pictures.py`, reviews from `sample_texts.py`. They are samples and say
so: the data sets are called `sample shapes` and `sample reviews` wherever they are named.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from serving.errors import BadInput
from training import sample_pictures, sample_texts
from training.recipe import SourceKind
from training.sources import RawData, RawExample, in_memory

_SEED = 20_260_101
"""The same for everybody: the data does not change with the seed of a run."""


@dataclass(frozen=True, slots=True)
class _Kind:
    labels: tuple[str, ...]
    make: Callable[[str, np.random.Generator], bytes]
    ending: str
    counts: tuple[int, int, int]
    """Examples of each label for training, validation and test."""
    code: str


def _write(label: str, random: np.random.Generator) -> bytes:
    return sample_texts.write(label, random).encode()


_KINDS = {
    "sample_shapes": _Kind(
        sample_pictures.SHAPES, sample_pictures.draw, "jpg", (300, 50, 100), sample_pictures.__file__
    ),
    "sample_reviews": _Kind(sample_texts.OPINIONS, _write, "txt", (2000, 250, 500), sample_texts.__file__),
}


@dataclass(frozen=True)
class SampleData:
    """One of the built-in sample sets; `share` makes it smaller, for tests."""

    dataset: str
    share: float = 1.0

    @property
    def kind(self) -> SourceKind:
        """`sample`."""
        return "sample"

    def identity(self) -> str:
        """The code that makes the set, and the libraries that it leans on."""
        code = hashlib.sha256(Path(self._made.code).read_bytes()).hexdigest()
        return f"{code} {self._made.counts} {self.share} numpy {version('numpy')} pillow {version('pillow')}"

    def read(self) -> RawData:
        """Make all of it, on all cores."""
        splits = [
            [
                (split, label, number)
                for label in self._made.labels
                for number in range(max(1, round(count * self.share)))
            ]
            for split, count in zip(("train", "validation", "test"), self._made.counts, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            train, validation, test = (list(pool.map(self._example, split)) for split in splits)
        return RawData(self._made.labels, train, validation, test, _checksum([*train, *validation, *test]))

    @property
    def _made(self) -> _Kind:
        if self.dataset not in _KINDS:
            raise BadInput(f"there is no built-in sample of {self.dataset}: use --source directory or archive")
        return _KINDS[self.dataset]

    def _example(self, which: tuple[str, str, int]) -> RawExample:
        split, label, number = which
        seed = int.from_bytes(hashlib.sha256(f"{split}/{label}/{number}".encode()).digest()[:8])
        content = self._made.make(label, np.random.default_rng([_SEED, seed]))
        return in_memory(f"{split}/{label}/{number}.{self._made.ending}", label, content)


def _checksum(examples: Iterable[RawExample]) -> str:
    """Over names and contents, as for a folder of files."""
    whole = hashlib.sha256()
    for name, content in sorted((one.name, one.read()) for one in examples):
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()
