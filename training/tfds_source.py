"""Source `tfds`: a data set of TensorFlow Datasets by its name, an optional extra.

Pictures are taken undecoded, so that `serving.preprocess.image` decodes them like any other.
The package is imported on first use: nobody else needs it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from serving.errors import BadInput, FailedPrecondition, Unavailable
from training.recipe import SourceKind
from training.sources import RawData, RawExample, in_memory


@dataclass(frozen=True)
class TensorFlowDataset:
    """A named data set; `data_dir` is where it lies or is downloaded to, None its usual place."""

    dataset: str
    splits: tuple[str, str, str]
    data_dir: Path | None = None
    class_names: tuple[str, ...] = ()
    """Labels in the order of the classes' numbers; empty: as the data set has them."""

    @property
    def kind(self) -> SourceKind:
        """`tfds`."""
        return "tfds"

    def identity(self) -> str:
        """SHA-256 over the data set's files, in the order of their names, and the splits asked for."""
        whole = hashlib.sha256(repr(self.splits).encode())
        for path in sorted(path for path in Path(self._builder.data_dir).rglob("*") if path.is_file()):
            with open(path, "rb") as file:
                whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()

    def read(self) -> RawData:
        """Read the three splits into memory, pictures as the files they were."""
        info, decoders = self._builder.info, {}
        kind = "image" if "image" in info.features else "text"
        if kind not in info.features or "label" not in info.features:
            raise BadInput(
                f"{self.dataset} of TensorFlow Datasets has no image or text with a label: it has {info.features}"
            )
        if kind == "image":
            decoders = {"image": import_module("tensorflow_datasets").decode.SkipDecoding()}
        try:
            parts = self._builder.as_dataset(split=list(self.splits), decoders=decoders)
        except ValueError as error:
            raise BadInput(f"{self.dataset} of TensorFlow Datasets has no splits {self.splits}: {error}") from error
        names = self.class_names or info.features["label"].names
        train, validation, test = (
            _examples(part, kind, names, split) for part, split in zip(parts, self.splits, strict=True)
        )
        return RawData(tuple(sorted(names)), train, validation, test, self.identity())

    @cached_property
    def _builder(self) -> Any:
        try:
            datasets = import_module("tensorflow_datasets")
        except ImportError as error:
            raise FailedPrecondition(
                "--source tfds needs TensorFlow Datasets: pip install tensorflow-datasets, or use another --source"
            ) from error
        try:
            builder = datasets.builder(self.dataset, data_dir=self.data_dir)
            builder.download_and_prepare()
        except datasets.core.DatasetNotFoundError as error:
            raise BadInput(f"TensorFlow Datasets knows no {self.dataset!r}: {_first_line(error)}") from error
        except Exception as error:  # whatever a download can meet: network, proxy, checksum, disk
            raise Unavailable(f"{self.dataset} cannot be had from TensorFlow Datasets: {_first_line(error)}") from error
        return builder


def _examples(part: Any, kind: str, names: Sequence[str], split: str) -> list[RawExample]:
    rows = enumerate(part.as_numpy_iterator())
    return [in_memory(f"{split}/{number}", names[row["label"]], row[kind]) for number, row in rows]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
