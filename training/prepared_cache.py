"""Prepared data sets on disk: decoded pictures, hashed texts or rows, ready for the network.

    <cache>/<dataset>-<key>/inputs.bin  offsets.npy (texts)  index.json

The key covers the data's checksum, the preparation's settings and its code, so a stale entry is
never read. An entry is written aside and renamed: a killed run leaves no half of one. Every
picture goes through `serving.preprocess.image`, every text through `.text`, every row through `.table`.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serving import preprocess
from serving.card import ImageInput, Input, TableInput, TextInput
from serving.errors import BadInput, ServingError
from serving.preprocess import image, table, text
from training.progress import Progress
from training.recipe import Examples, RaggedIds
from training.sources import RawData, RawExample, Source, without_repeats

_LAYOUT = 2
_MOST_UNREADABLE = 0.01
_ORIGINALS = 128
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A data set that a network can learn from."""

    labels: tuple[str, ...]
    train: Examples
    validation: Examples
    test: Examples
    sha256: str
    key: str
    """Of the cache entry; whatever is computed from it is cached under a key that holds this one."""
    unreadable: tuple[str, ...]
    """Names of the examples that were skipped, each with the reason."""
    folder: Path
    """Of the cache entry; `unreadable.txt` is in it."""
    originals: tuple[bytes, ...]
    """Some of the validation split's files, spread evenly, as they lay in the source."""


def prepared(
    source: Source,
    spec: Input,
    cache: Path,
    progress: Progress,
    check: Callable[[Sequence[str]], None],
) -> PreparedData:
    """The source's examples as arrays, from the cache or prepared now.

    Args:
        source: what to read.
        spec: how to prepare it.
        cache: the folder of all entries.
        progress: where to show the work.
        check: is shown the labels before any work, and raises if they will not do.

    Raises:
        BadInput: nothing usable in the source, or more than 1 % of it unreadable.
        OSError: the disk is full or the cache cannot be written.
    """
    identity = json.dumps([_LAYOUT, source.kind, source.identity(), asdict(spec), _code_of(spec)])
    key = hashlib.sha256(identity.encode()).hexdigest()[:24]
    folder = cache / f"{source.dataset}-{key}"
    if not (folder / "index.json").exists():
        raw = without_repeats(source.read())
        check(raw.labels)
        if raw.repeats:
            progress.say(f"{raw.repeats} examples have their twin in another split and are left out")
        with written_aside(folder) as aside:
            _prepare(raw, spec, aside, progress, cache / f"{source.dataset}-unreadable.txt")
    data = _open(folder, spec, key)
    check(data.labels)
    return data


def _code_of(spec: Input) -> list[str]:
    """What else decides about the prepared values: the code, and the versions of the decoders."""
    files = sorted(Path(preprocess.__file__).parent.glob("*.py"))
    code = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    packages = ("pillow", "simplejpeg") if isinstance(spec, ImageInput) else ()
    return [code, *(f"{package} {version(package)}" for package in packages)]


@contextlib.contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A new folder to fill; it takes its place by a rename when the block ends well, else it is removed."""
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        _sweep(left)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    aside.mkdir(parents=True)
    try:
        yield aside
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            if not folder.exists():  # else another run has just made the same entry
                aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sweep(left: Path) -> None:
    """Remove what a killed run left; a run that still lives keeps its own."""
    owner = int(left.name.split(".")[-2])
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        owner = os.getpid()
    except PermissionError:
        return
    if owner == os.getpid():
        shutil.rmtree(left, ignore_errors=True)


def _prepare(raw: RawData, spec: Input, aside: Path, progress: Progress, list_file: Path) -> None:
    everything = [one for split in (raw.train, raw.validation, raw.test) for one in split]
    unreadable: list[str] = []
    lengths: list[int] = []
    with open(aside / "inputs.bin", "wb") as file, progress.steps("Preparing", len(everything)) as advance:
        for example, values in _values(everything, spec):
            advance()
            if isinstance(values, ServingError):
                unreadable.append(f"{example.name}: {values.message}")
            lengths.append(_append(file, values))
    _judge(unreadable, len(everything), list_file)
    if isinstance(spec, TextInput):
        kept = [length for length in lengths if length >= 0]
        np.save(aside / "offsets.npy", np.concatenate([[0], np.cumsum(kept)]).astype(np.int64))
    index = _index(raw, lengths, unreadable)
    wanted = () if isinstance(spec, TableInput) else (name for name, _ in index["splits"]["validation"])
    index["originals"] = _copy_originals(raw, set(wanted), aside)
    (aside / "index.json").write_text(json.dumps(index))
    (aside / "unreadable.txt").write_text("".join(line + "\n" for line in unreadable), errors="backslashreplace")


def _values(examples: Sequence[RawExample], spec: Input) -> Iterator[tuple[RawExample, NDArray[Any] | ServingError]]:
    """Every example with its prepared values or the reason why it has none, in order, on all cores."""

    def prepare(example: RawExample) -> NDArray[Any] | ServingError:
        try:
            content = example.read()
        except OSError as error:
            return BadInput(f"cannot be read: {error.strerror}")
        try:
            return _prepared(content, spec)
        except ServingError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(examples), 512):
            some = examples[start : start + 512]
            yield from zip(some, pool.map(prepare, some), strict=True)


def _prepared(content: bytes, spec: Input) -> NDArray[Any]:
    if isinstance(spec, ImageInput):
        return image.to_pixels(content, spec)
    return text.to_ids(content, spec) if isinstance(spec, TextInput) else table.to_row(content, spec)


def _append(file: BinaryIO, values: NDArray[Any] | ServingError) -> int:
    """Write the values and give their count, or -1 where there are none.

    Written, not mapped: on a full disk a write says so, a mapped page kills the process.
    """
    if isinstance(values, ServingError):
        return -1
    file.write(np.ascontiguousarray(values).data)
    return values.size


def _copy_originals(raw: RawData, readable: set[str], aside: Path) -> list[int]:
    """Keep some files as they are, one behind the other; returns the size of each."""
    examples = [one for one in raw.validation if one.name in readable]
    step = -(-len(examples) // _ORIGINALS) or 1
    contents = [one.read() for one in examples[::step]]
    (aside / "originals.bin").write_bytes(b"".join(contents))
    return [len(content) for content in contents]


def _read_originals(folder: Path, sizes: Sequence[int]) -> tuple[bytes, ...]:
    with open(folder / "originals.bin", "rb") as file:
        return tuple(file.read(size) for size in sizes)


def _judge(unreadable: Sequence[str], total: int, list_file: Path) -> None:
    if len(unreadable) <= _MOST_UNREADABLE * total:
        return
    list_file.write_text("".join(line + "\n" for line in unreadable), errors="backslashreplace")
    raise BadInput(
        f"{len(unreadable)} of {total} examples cannot be read, which is more than 1 %: "
        f"mend or remove them, {list_file} names each; the first is {unreadable[0]}"
    )


def _index(raw: RawData, lengths: Sequence[int], unreadable: Sequence[str]) -> dict[str, Any]:
    kept = iter(length >= 0 for length in lengths)
    splits = {}
    for name in SPLITS:
        examples = [one for one in getattr(raw, name) if next(kept)]
        if missing := set(raw.labels) - {one.label for one in examples}:
            raise BadInput(f"class {min(missing)!r} has no readable example in the {name} split: add some")
        places = {label: place for place, label in enumerate(raw.labels)}
        splits[name] = [[one.name, places[one.label] if places else float(one.label)] for one in examples]
    return {"labels": raw.labels, "sha256": raw.sha256, "unreadable": list(unreadable), "splits": splits}


def _open(folder: Path, spec: Input, key: str) -> PreparedData:
    index = json.loads((folder / "index.json").read_text())
    splits = [index["splits"][name] for name in SPLITS]
    inputs = _split_inputs(folder, spec, [len(split) for split in splits])
    kind = np.int32 if index["labels"] else np.float32
    train, validation, test = (
        Examples(some, np.array([label for _, label in split], kind), [name for name, _ in split])
        for some, split in zip(inputs, splits, strict=True)
    )
    labels, unreadable = tuple(index["labels"]), tuple(index["unreadable"])
    originals = _read_originals(folder, index["originals"])
    return PreparedData(labels, train, validation, test, index["sha256"], key, unreadable, folder, originals)


def _split_inputs(folder: Path, spec: Input, counts: Sequence[int]) -> Iterable[NDArray[Any] | RaggedIds]:
    ends = np.cumsum(counts)
    if isinstance(spec, ImageInput):
        shape = (sum(counts), spec.height, spec.width, spec.channels)
        pixels = np.memmap(folder / "inputs.bin", np.uint8, "r", shape=shape)
        return [pixels[end - count : end] for count, end in zip(counts, ends, strict=True)]
    if isinstance(spec, TableInput):
        rows = np.fromfile(folder / "inputs.bin", np.float32).reshape(sum(counts), len(spec.columns))
        return [rows[end - count : end] for count, end in zip(counts, ends, strict=True)]
    offsets = np.load(folder / "offsets.npy")
    ids = np.memmap(folder / "inputs.bin", np.int32, "r") if offsets[-1] else np.zeros(0, np.int32)
    return [RaggedIds(ids, offsets[end - count : end + 1]) for count, end in zip(counts, ends, strict=True)]
