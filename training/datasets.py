"""Where a run's examples come from: the source that was asked for, prepared and cached.

    sample_data | class_folders | class_archive | array_files | keras_source | tfds_source | table_source
        ->  prepared_cache  ->  Examples

The command line and the tests come in here; what a source is, says `sources.py`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.card import Input, TableInput
from serving.errors import BadInput
from training import array_files, keras_source, table_source
from training.class_archive import ClassArchive, find_archive
from training.class_folders import ClassFolders, class_folders
from training.prepared_cache import PreparedData, prepared
from training.progress import Progress
from training.recipe import SourceKind, SourceSpec
from training.sample_data import SampleData
from training.sources import Source, check_labels
from training.tfds_source import TensorFlowDataset


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChoice:
    """What the caller said about the data; None or empty where the recipe decides."""

    kind: SourceKind | None = None
    data_dir: Path | None = None
    sha256: str = ""
    target: str = ""
    """The column of a table that the others should tell."""


def open_source(spec: SourceSpec, choice: SourceChoice) -> Source:
    """The source to read.

    Raises:
        BadInput: the options do not go together, or the place is not there.
    """
    kind = choice.kind or _kind(spec, choice.data_dir)
    if choice.sha256 and kind != "archive":
        raise BadInput(f"--sha256 is the checksum of an archive, and --source is {kind}")
    if choice.target and kind != "table":
        raise BadInput(f"--target names a column of a table, and --source is {kind}")
    if choice.data_dir is not None and kind == "sample":
        raise BadInput("--data-dir is for every --source but sample; the samples are made by code")
    return _OPEN[kind](spec, choice)


def _kind(spec: SourceSpec, place: Path | None) -> SourceKind:
    """The recipe's own, unless the place holds something else: files of arrays, or a folder per class."""
    if place is None or spec.kind in ("sample", "table", "archive"):
        return spec.kind
    if spec.class_names and array_files.holds(place):
        return "arrays"
    return "directory" if class_folders(place) else spec.kind


def unknown_source(dataset: str) -> SourceSpec:
    """For a model that no recipe made: its data can only come from class folders."""
    return SourceSpec(kind="directory", dataset=dataset)


def _sample(spec: SourceSpec, choice: SourceChoice) -> Source:
    return table_source.sample(spec.dataset) or SampleData(spec.dataset)


def _directory(spec: SourceSpec, choice: SourceChoice) -> Source:
    if choice.data_dir is None:
        raise BadInput("--source directory needs --data-dir, a folder with one folder per class")
    return ClassFolders(choice.data_dir, spec.dataset)


def _archive(spec: SourceSpec, choice: SourceChoice) -> Source:
    if choice.data_dir is None:
        raise BadInput("--source archive needs --data-dir, the tar.gz or the folder that holds it")
    return ClassArchive(find_archive(choice.data_dir), spec.dataset, choice.sha256)


def _arrays(spec: SourceSpec, choice: SourceChoice) -> Source:
    if choice.data_dir is None or not spec.class_names:
        raise BadInput("--source arrays needs --data-dir, and a recipe whose classes have names, such as mnist")
    return array_files.open_arrays(choice.data_dir, spec.dataset, spec.class_names)


def _keras(spec: SourceSpec, choice: SourceChoice) -> Source:
    if not spec.keras_name:
        raise BadInput(f"{spec.dataset} is not taken from Keras: use --source tfds, or --data-dir with a local copy")
    return keras_source.open_keras(spec.keras_name, spec.dataset, spec.class_names)


def _tfds(spec: SourceSpec, choice: SourceChoice) -> Source:
    if not spec.tfds_name:
        raise BadInput(f"{spec.dataset} is not in TensorFlow Datasets: use another --source")
    return TensorFlowDataset(spec.tfds_name, spec.tfds_splits, choice.data_dir, spec.class_names)


def _table(spec: SourceSpec, choice: SourceChoice) -> Source:
    return table_source.open_table(choice.data_dir, choice.target)


_OPEN: dict[SourceKind, Callable[[SourceSpec, SourceChoice], Source]] = {
    "sample": _sample,
    "directory": _directory,
    "archive": _archive,
    "arrays": _arrays,
    "keras": _keras,
    "tfds": _tfds,
    "table": _table,
}


def input_of(spec: Input, source: Source) -> Input:
    """A recipe's input; that of a table takes its columns from the data.

    Raises:
        BadInput: the source is a table and the recipe wants none, or the reverse.
    """
    a_table = isinstance(source, table_source.TableFile)
    if isinstance(spec, TableInput) != a_table:
        raise BadInput(f"the recipe takes {'a table' if not a_table else spec.kind + 's'}, not {source.kind}")
    return source.input() if isinstance(source, table_source.TableFile) else spec


def load(
    source: Source,
    spec: Input,
    *,
    network: str,
    labels: tuple[str, ...] | None,
    cache: Path,
    progress: Progress,
) -> PreparedData:
    """The source's three splits as arrays.

    Args:
        source: from `open_source`.
        spec: how inputs are prepared.
        network: its name, for the sentence of a refusal.
        labels: the outputs of the network, in order; None if it takes whatever labels there are.
        cache: folder of the prepared sets.
        progress: where to show it.

    Raises:
        ServingError: the data will not do; the sentence says why and what to do.
        OSError: the disk is full or the cache cannot be written.
    """
    data = prepared(source, spec, cache, progress, lambda found: check_labels(found, labels, network))
    if data.unreadable:  # said even to who wants no progress: the figures are not of all the data
        where = data.folder / "unreadable.txt"
        print(f"{len(data.unreadable)} examples cannot be read and are left out: {where}", file=sys.stderr)
    return data
