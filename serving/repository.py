"""The models folder: versions, publishing by one rename, labels and checksums.

    models/<name>/<version>/...                 a published version
    models/<name>/.<version>.tmp/...            one being written; readers never look at it
    models/<name>/.rejected/<version>/...       one that was not good enough to be published
    models/<name>/labels.json                   {"stable": 3, "canary": 4}

Training writes it, the model server reads it. A reader sees a whole version or none.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serving.card import ModelCard
from serving.errors import BadInput, DataLoss, NotFound

CARD_FILE = "assets.extra/card.json"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NUMBER = re.compile(r"[0-9]{1,39}")
_HIGHEST = 2**63 - 1
"""Requests name a version as a signed 64-bit number."""


def versions(model: Path) -> list[int]:
    """The published versions of a model's folder, lowest first; empty if there is no such folder."""
    return sorted(folders(model))


def folders(model: Path) -> dict[int, Path]:
    """Version number to folder; empty if there is no such model."""
    try:
        return versions_in(model)
    except FileNotFoundError:
        return {}


def versions_in(base_path: Path) -> dict[int, Path]:
    """Version number to entry. Leading zeros are allowed; of two names for one number one is taken.

    Raises:
        OSError: the base path is missing or cannot be read.
    """
    with os.scandir(base_path) as entries:
        names = sorted(entry.name for entry in entries if _NUMBER.fullmatch(entry.name))
    return {int(name): base_path / name for name in names if int(name) <= _HIGHEST}


def models(root: Path) -> list[str]:
    """Names of the models under a folder: every sub-folder with at least one version and a name in UTF-8, sorted."""
    if not root.is_dir():
        return []
    entries = [entry for entry in os.scandir(root) if entry.is_dir() and is_text(entry.name)]
    return sorted(entry.name for entry in entries if versions(Path(entry.path)))


def is_text(name: str) -> bool:
    """Whether a name can be told in JSON; where it is not UTF-8, Python has surrogates for its bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def read_card(version: Path) -> ModelCard | None:
    """The card of a version folder, or None if it has none.

    Raises:
        CardError: there is one, and it cannot be read.
    """
    try:
        return ModelCard.from_json((version / CARD_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


REJECTED = ".rejected"


@dataclass(slots=True)
class Staging:
    """A version being written: fill `folder`; it is renamed into place when the block ends well."""

    name: str
    version: int
    folder: Path
    rejected: bool = False
    """Set it to have the version put aside, where nobody serves it."""

    @property
    def destination(self) -> Path:
        """Where it will stand."""
        model = self.folder.parent
        return model / REJECTED / str(self.version) if self.rejected else model / str(self.version)


@contextlib.contextmanager
def staging(root: Path, name: str) -> Iterator[Staging]:
    """Write the next free version of a model aside and publish it by one rename.

    The number is reserved at once, so that two writers never share one. If the block raises,
    everything written is removed and nothing is published.
    """
    check_name(name)
    model = root / name
    model.mkdir(parents=True, exist_ok=True)
    version, folder = _reserve(model)
    try:
        staged = Staging(name, version, folder)
        yield staged
        _sync(folder)
        staged.destination.parent.mkdir(exist_ok=True)
        os.rename(folder, staged.destination)
        _sync_folder(staged.destination.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the model's folder may hold other versions
            model.rmdir()
        raise


def check_name(name: str) -> None:
    """Refuse a name that could not be a folder and part of an address.

    Raises:
        BadInput: it is none.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name for a model: use letters, digits, '_', '-' and '.', not starting with '.'")


def _reserve(model: Path) -> tuple[int, Path]:
    writing = [int(entry.name[1:-4]) for entry in model.glob(".*.tmp") if entry.name[1:-4].isdigit()]
    version = max([*versions(model), *versions(model / REJECTED), *writing], default=0) + 1
    while True:
        folder = model / f".{version}.tmp"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return version, folder
        version += 1


def _sync(folder: Path) -> None:
    """Force a folder and all in it to the disk, so that a rename never outlives its contents."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(Path(parent, name), "rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(parent))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksums(version: Path) -> dict[str, str]:
    """SHA-256 of every file of a version but its card, by path relative to the version, sorted."""
    files = sorted(path for path in version.rglob("*") if path.is_file())
    names = [path.relative_to(version).as_posix() for path in files]
    return {name: _sha256(version / name) for name in names if name != CARD_FILE}


def verify(version: Path, card: ModelCard) -> None:
    """Hold the files of a version against the checksums of its card.

    Raises:
        DataLoss: a file is missing, changed or was added; the text names it.
    """
    if not card.files:
        return
    found = checksums(version)
    for name in sorted(card.files.keys() | found.keys()):
        if name not in found:
            raise DataLoss(f"{name} of version {version.name} is missing; copy the whole version again")
        if card.files.get(name) != found[name]:
            raise DataLoss(f"{name} of version {version.name} is not the file that its card names; copy it again")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_labels(model: Path) -> dict[str, int]:
    """The labels of a model's folder, such as stable and canary, with the version of each; often empty."""
    path = model / "labels.json"
    try:
        if path.is_fifo():  # opening one would wait for a writer, for ever
            raise DataLoss(f"{path} must be a file")
        return labels_of(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}


def labels_of(content: bytes, place: str) -> dict[str, int]:
    """What a labels.json says; `place` is where it lies, for the error.

    Raises:
        DataLoss: it is none.
    """
    try:
        return {str(label): int(version) for label, version in json.loads(content).items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataLoss(f'{place} must be an object like {{"stable": 3}}: {error}') from error


def write_labels(model: Path, labels: Mapping[str, int]) -> None:
    """Replace the labels of a model by one rename that outlives a power cut.

    Raises:
        NotFound: a label names a version that is not published.
    """
    for label, version in labels.items():
        if version not in versions(model):
            raise NotFound(f"label {label}: {model.name} has no version {version}; it has {versions(model)}")
    text = json.dumps(dict(labels), indent=1) + "\n"
    write_whole(model / "labels.json", lambda file: file.write(text.encode()))


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file aside and rename it into its place, both forced to the disk.

    Raises:
        OSError: no space or no permission; what stood at `path` before stands there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)
