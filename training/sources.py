"""Where raw examples come from, before anything is prepared: what every source has to offer.

`class_folders.py`, `class_archive.py`, `array_files.py`, `tfds_source.py`, `table_source.py` and `sample_data.py`
are the sources, `prepared_cache.py` turns their bytes into arrays. Splits are made here, from the names alone:
the test split of a data set is the same in every run, whatever its seed.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from serving.errors import BadInput
from training.recipe import SourceKind


@dataclass(frozen=True, slots=True)
class RawExample:
    """One example as it lies in its source."""

    name: str
    """Unique in its data set, such as `train/cat/cat.17.jpg`."""
    label: str
    """Where the data set has no labels: the number to be told, as text."""
    read: Callable[[], bytes]
    """The whole picture file, the text in UTF-8, or the row as a JSON object."""


def in_memory(name: str, label: str, content: bytes) -> RawExample:
    """An example whose content is at hand."""
    return RawExample(name, label, lambda: content)


@dataclass(frozen=True, slots=True)
class RawData:
    """A data set in its three splits, unprepared."""

    labels: tuple[str, ...]
    """Sorted; every label has examples in every split. Empty: the target is a number."""
    train: Sequence[RawExample]
    validation: Sequence[RawExample]
    test: Sequence[RawExample]
    sha256: str
    repeats: int = 0
    """Examples left out because the same content is in another split."""


class Source(Protocol):
    """A way to get raw examples."""

    @property
    def kind(self) -> SourceKind:
        """Which of them it is."""

    @property
    def dataset(self) -> str:
        """The set's name, for the card and the cache."""

    def identity(self) -> str:
        """A text that changes whenever the data would; cheap beside reading it all."""

    def read(self) -> RawData:
        """Find the examples and split them.

        Raises:
            BadInput: nothing usable there; the sentence says what and what to do.
        """


def by_label(examples: Iterable[RawExample]) -> dict[str, list[RawExample]]:
    """The examples of each label, labels sorted, each in a fixed order that looks shuffled."""
    groups: dict[str, list[RawExample]] = {}
    for example in sorted(examples, key=_place):
        groups.setdefault(example.label, []).append(example)
    return dict(sorted(groups.items()))


def _place(example: RawExample) -> tuple[bytes, str]:
    """Where an example stands in an order that looks shuffled, and is the same for every run."""
    return hashlib.sha256(os.fsencode(example.name)).digest(), example.name


def carve(examples: Iterable[RawExample], share: float) -> tuple[list[RawExample], list[RawExample]]:
    """Take a share of every class out, at least one example: (the rest, what was taken).

    Raises:
        BadInput: a class has too few examples to share.
    """
    rest: list[RawExample] = []
    taken: list[RawExample] = []
    for label, group in by_label(examples).items():
        count = max(1, round(share * len(group)))
        if count >= len(group):
            raise BadInput(f"class {label!r} has only {len(group)} examples to split: add pictures or texts of it")
        taken += group[:count]
        rest += group[count:]
    return rest, taken


def split_train_test(train: Sequence[RawExample], test: Sequence[RawExample], sha256: str) -> RawData:
    """Keep a given test split, carve a tenth of the training examples out for validation."""
    _same_labels(train, test)
    rest, validation = carve(train, 0.1)
    return RawData(_labels(train), rest, validation, list(test), sha256)


def split_in_three(examples: Sequence[RawExample], sha256: str) -> RawData:
    """80 % training, 10 % validation, 10 % test of every class."""
    rest, test = carve(examples, 0.1)
    train, validation = carve(rest, 1 / 9)
    return RawData(_labels(examples), train, validation, test, sha256)


def split_numbers(examples: Sequence[RawExample], sha256: str) -> RawData:
    """80 % training, 10 % validation, 10 % test of examples whose target is a number."""
    if len(examples) < 10:
        raise BadInput(f"{len(examples)} rows are too few to learn from, to choose by and to test on: add some")
    ordered, tenth = sorted(examples, key=_place), len(examples) // 10
    return RawData((), ordered[2 * tenth :], ordered[tenth : 2 * tenth], ordered[:tenth], sha256)


def without_repeats(raw: RawData) -> RawData:
    """No content in two splits: what the test split holds leaves the others, what validation holds leaves training.

    A picture that a team's folder has twice would otherwise be learned and then asked about.
    """
    seen: set[bytes] = set()
    kept: list[list[RawExample]] = []
    for split in (raw.test, raw.validation, raw.train):
        digests = [hashlib.sha256(one.read()).digest() for one in split]
        kept.append([one for one, digest in zip(split, digests, strict=True) if digest not in seen])
        seen.update(digests)
    test, validation, train = kept
    repeats = len(raw.test) + len(raw.validation) + len(raw.train) - sum(map(len, kept))
    return replace(raw, train=train, validation=validation, test=test, repeats=repeats)


def _labels(examples: Iterable[RawExample]) -> tuple[str, ...]:
    labels = tuple(sorted({example.label for example in examples}))
    if len(labels) < 2:
        raise BadInput(f"a classifier needs at least two classes, found {list(labels)}")
    return labels


def _same_labels(train: Iterable[RawExample], test: Iterable[RawExample]) -> None:
    learned, asked = {one.label for one in train}, {one.label for one in test}
    for label in sorted(learned ^ asked):
        there, missing = ("train", "test") if label in learned else ("test", "train")
        raise BadInput(f"class {label!r} has examples in {there}/ and none in {missing}/: give both, or no {missing}/")


def check_labels(found: Sequence[str], wanted: Sequence[str] | None, network: str) -> None:
    """Refuse data whose labels are not the outputs of the network.

    Raises:
        BadInput: names the first label that does not fit and the number of outputs.
    """
    if wanted is None or list(found) == list(wanted):
        return
    outputs = f"{network} has {len(wanted)} outputs: {', '.join(wanted)}"
    if strange := sorted(set(found) - set(wanted)):
        raise BadInput(f"the data has the label {strange[0]!r}, which no output stands for; {outputs}")
    missing = sorted(set(wanted) - set(found))
    raise BadInput(f"the data has no example of the label {missing[0]!r}; {outputs}")
