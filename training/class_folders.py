"""Source `directory`: one folder per class, pictures or texts in it.

    DIR/train/<class>/...  DIR/test/<class>/...     a tenth of train/ becomes the validation split
    DIR/train/...  DIR/validation/...  DIR/test/... taken as they are
    DIR/<class>/...                                 split 80/10/10, the same way every time

Hidden files and folders (names that begin with a dot) are not looked at.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from serving.errors import BadInput
from training.recipe import SourceKind
from training.sources import RawData, RawExample, split_in_three, split_train_test

SPLITS = ("train", "validation", "test")
"""Names of folders that hold a split, not a class."""


@dataclass(frozen=True)
class ClassFolders:
    """The class folders under one folder."""

    folder: Path
    dataset: str

    @property
    def kind(self) -> SourceKind:
        """`directory`."""
        return "directory"

    def identity(self) -> str:
        """SHA-256 over the names and contents of all files, in the order of their names."""
        names = sorted(one.name for split in self._splits().values() for one in split)
        with ThreadPoolExecutor() as pool:
            digests = pool.map(self._digest, names)
            whole = hashlib.sha256()
            for name, digest in zip(names, digests, strict=True):
                whole.update(os.fsencode(name) + f"\0{digest}\n".encode())
        return whole.hexdigest()

    def read(self) -> RawData:
        """List the files and split them."""
        splits, sha256 = self._splits(), self.identity()
        if "test" not in splits:
            return split_in_three([one for split in splits.values() for one in split], sha256)
        data = split_train_test(splits["train"], splits["test"], sha256)
        if "validation" not in splits:
            return data
        split_train_test(splits["train"], splits["validation"], sha256)  # the same classes must be there
        return RawData(data.labels, splits["train"], splits["validation"], splits["test"], sha256)

    def _splits(self) -> dict[str, list[RawExample]]:
        if not self.folder.is_dir():
            raise BadInput(f"{self.folder} is no folder: give --data-dir a folder with one folder per class")
        named = [name for name in SPLITS if (self.folder / name).is_dir()]
        if not named:
            return {"": self._examples("")}
        if "train" not in named:
            raise BadInput(f"{self.folder} has {' and '.join(named)} but no train/: add it, or put the classes on top")
        return {name: self._examples(name) for name in named}

    def _examples(self, split: str) -> list[RawExample]:
        folders = _class_names(self.folder / split)
        if len(folders) < 2:
            found = ", ".join(path.name for path in folders) or "none"
            raise BadInput(f"{self.folder / split} needs at least two folders, one per class; it has {found}")
        return [self._example(path, label.name) for label in folders for path in _files(label)]

    def _example(self, path: Path, label: str) -> RawExample:
        return RawExample(path.relative_to(self.folder).as_posix(), label, path.read_bytes)

    def _digest(self, name: str) -> str:
        with open(self.folder / name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def class_folders(folder: Path) -> bool:
    """Whether a folder is laid out as above: it has train/ or at least two classes."""
    return folder.is_dir() and ((folder / "train").is_dir() or len(_class_names(folder)) > 1)


def _files(label: Path) -> Sequence[Path]:
    """All visible files under a class folder, however deep."""
    inside = (path.relative_to(label) for path in label.rglob("*") if path.is_file())
    found = sorted(path for path in inside if not any(part.startswith(".") for part in path.parts))
    if not found:
        raise BadInput(f"class {label.name!r} is empty: {label} holds no files; fill it or remove it")
    return [label / path for path in found]


def _class_names(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
