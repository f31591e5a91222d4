"""Source `archive`: a tar file with train/ and test/ and one folder per class inside, as IMDB's is.

    aclImdb/train/pos/0_9.txt  aclImdb/train/neg/...  aclImdb/test/...

Whole or reduced. It is read from front to back and never unpacked, so nothing in it can
write anywhere. Folders called `unsup` (IMDB's unlabeled reviews) are passed over.
"""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from serving.errors import BadInput, DataLoss
from training.recipe import SourceKind
from training.sources import RawData, RawExample, in_memory, split_train_test

_ENDINGS = (".tar.gz", ".tgz", ".tar")
_MEMBER = re.compile(r"(?:.*/)?(?P<split>train|test)/(?P<label>[^/.][^/]*)/(?P<file>[^/.][^/]*)")


@dataclass(frozen=True)
class ClassArchive:
    """One tar file; `sha256`, where given, must be its checksum."""

    path: Path
    dataset: str
    sha256: str = ""

    @property
    def kind(self) -> SourceKind:
        """`archive`."""
        return "archive"

    @cached_property
    def _checksum(self) -> str:
        with open(self.path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.sha256 and found != self.sha256.lower():
            raise DataLoss(f"{self.path} has SHA-256 {found}, not {self.sha256}: it is another file, or cut short")
        return found

    def identity(self) -> str:
        """SHA-256 of the file.

        Raises:
            DataLoss: it is not the one that was given.
        """
        return self._checksum

    def read(self) -> RawData:
        """Read every labeled file into memory (IMDB: 65 MB) and split."""
        splits: dict[str, list[RawExample]] = {"train": [], "test": []}
        for split, example in self._members():
            splits[split].append(example)
        for split, found in splits.items():
            if not found:
                raise BadInput(f"{self.path} holds no {split}/<class>/<file>: it is not laid out as IMDB's archive is")
        return split_train_test(splits["train"], splits["test"], self.identity())

    def _members(self) -> Iterator[tuple[str, RawExample]]:
        try:
            with tarfile.open(self.path, "r|*") as archive:
                for member in archive:
                    place = _MEMBER.fullmatch(member.name)
                    if (
                        place
                        and member.isfile()
                        and place["label"] != "unsup"
                        and (file := archive.extractfile(member))
                    ):
                        name = f"{place['split']}/{place['label']}/{place['file']}"
                        yield place["split"], in_memory(name, place["label"], file.read())
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DataLoss(f"{self.path} is no readable tar file ({error}): download or copy it again") from error


def find_archive(place: Path) -> Path:
    """The archive itself, given it or the folder that holds it.

    Raises:
        BadInput: none there, or several.
    """
    if place.is_file():
        return place
    if not place.is_dir():
        raise BadInput(f"{place} is not there: give --data-dir the tar.gz or the folder that holds it")
    found = sorted(path for path in place.iterdir() if path.is_file() and path.name.endswith(_ENDINGS))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise BadInput(
            f"{place} must hold one archive ({', '.join(_ENDINGS)}), it has {names}: give --data-dir the file"
        )
    return found[0]
