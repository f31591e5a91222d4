"""`python -m serving.store`: bring published versions out of a bucket into a models folder.

    s3://BUCKET/PATH/<name>/<version>/...   ->   FOLDER/<name>/<version>/...

A version is written aside, held against the checksums of its card and renamed into place: a model server sees
a whole version or none, and a half-uploaded one is never served. Runs before a pod starts and, with --every,
beside it (k8s/components/store).
"""

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import click
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from serving import repository
from serving.errors import BadInput, DataLoss, NotFound, ServingError, Unavailable

CHUNK_BYTES = 4 * 2**20
_VERSION = re.compile(r"[1-9][0-9]{0,18}")

log = logging.getLogger("serving.store")


@dataclass(slots=True)
class Offered:
    """One model as a bucket has it."""

    versions: dict[int, list[str]] = field(default_factory=dict)
    """Version to the paths of its files, relative to the version."""
    has_labels: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of one look."""

    failures: list[str]
    """What went wrong, a sentence each."""
    empty: list[str]
    """Models of the bucket of which no version is here, so that nobody could serve them."""


def opened(url: str) -> ObjectStore:
    """The bucket behind an address; credentials are looked for where the provider's own tools look.

    Raises:
        BadInput: no such kind of address, or settings that do not fit it.
    """
    if url.partition("://")[0] not in {"s3", "gs", "file"}:
        raise BadInput(f"{url} is no bucket: want s3://BUCKET/PATH, gs://BUCKET/PATH or file:///FOLDER")
    try:
        return from_url(url)
    except (BaseError, ValueError) as error:
        raise BadInput(f"{url} cannot be opened: {_short(error)}") from error


def offered(paths: Iterable[str]) -> dict[str, Offered]:
    """Models by name, out of the paths of all objects; what is laid out otherwise is left out."""
    found: dict[str, Offered] = {}
    for path in paths:
        name, *rest = PurePosixPath(path).parts
        if not rest or ".." in rest or not _is_name(name):
            continue
        if rest == ["labels.json"]:
            found.setdefault(name, Offered()).has_labels = True
        elif len(rest) > 1 and _VERSION.fullmatch(rest[0]):
            found.setdefault(name, Offered()).versions.setdefault(int(rest[0]), []).append("/".join(rest[1:]))
    return found


class Store:
    """A bucket and the folder that follows it."""

    def __init__(self, bucket: ObjectStore, folder: Path, keep: int = 2) -> None:
        """Args: keep: how many of the newest versions of a model are wanted; labeled ones are besides."""
        self._bucket, self._folder, self._keep = bucket, folder, keep

    def fetch(self) -> Fetched:
        """Bring what is missing, remove what is not wanted any more.

        Raises:
            NotFound: there is no version in the bucket at all.
            Unavailable: the bucket cannot be listed.
        """
        try:
            models = offered(entry["path"] for chunk in self._bucket.list() for entry in chunk)
        except BaseError as error:
            raise Unavailable(f"the bucket cannot be listed: {_short(error)}") from error
        if not any(model.versions for model in models.values()):
            raise NotFound("the bucket holds no version of any model: they are expected as <name>/<version>/")
        failures = [said for name in sorted(models) for said in self._follow(name, models[name])]
        wanted = (name for name in sorted(models) if models[name].versions)
        return Fetched(failures, [name for name in wanted if not repository.versions(self._folder / name)])

    def _follow(self, name: str, model: Offered) -> list[str]:
        """The labels come last: a server never meets one whose version is still on its way."""
        failures: list[str] = []
        _sweep(self._folder / name)
        labels: Mapping[str, int] | None = None
        try:
            labels = self._labels(name) if model.has_labels else repository.read_labels(self._folder / name)
        except (ServingError, OSError) as error:
            failures.append(f"{name}: {_short(error)}")
        wanted = sorted(model.versions, reverse=True)[: self._keep]
        wanted += sorted((set((labels or {}).values()) & model.versions.keys()) - set(wanted))
        there = repository.versions(self._folder / name)
        for version in (version for version in wanted if version not in there):
            try:
                self._bring(name, version, model.versions[version])
            except (ServingError, OSError) as error:
                failures.append(f"{name} version {version}: {_short(error)}")
        try:
            if model.has_labels and labels is not None:
                failures += self._label(name, labels)
            if not failures:
                self._clear(name, set(wanted))
        except (ServingError, OSError) as error:
            failures.append(f"{name}: {_short(error)}")
        return failures

    def _labels(self, name: str) -> dict[str, int]:
        path = f"{name}/labels.json"
        return repository.labels_of(self._read(path), path)

    def _label(self, name: str, labels: Mapping[str, int]) -> list[str]:
        """Give the labels; one whose version did not come stays where it was."""
        model = self._folder / name
        there, before = repository.versions(model), repository.read_labels(model)
        late = sorted(label for label, version in labels.items() if version not in there)
        given = {label: version for label, version in labels.items() if version in there}
        given |= {label: before[label] for label in late if before.get(label) in there}
        if given != before:
            repository.write_labels(model, given)
        return [f"{name}: the label {label} names version {labels[label]}, which is not here" for label in late]

    def _bring(self, name: str, version: int, paths: list[str]) -> None:
        if repository.CARD_FILE not in paths:
            raise DataLoss(f"it has no {repository.CARD_FILE}, so nothing tells whether it is whole")
        begun = time.monotonic()
        with _arriving(self._folder / name, version) as folder:
            total = sum(self._copy(f"{name}/{version}/{path}", folder / path) for path in paths)
            card = repository.read_card(folder)
            assert card is not None
            if not card.files:
                raise DataLoss("its card names no files, so nothing tells whether it is whole")
            repository.verify(folder, card)
        log.info("%s version %d: %.1f MB in %.1f s", name, version, total / 1e6, time.monotonic() - begun)

    def _copy(self, path: str, target: Path) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("wb") as file:
                for chunk in self._bucket.get(path).stream(min_chunk_size=CHUNK_BYTES):
                    file.write(memoryview(chunk))
                file.flush()
                os.fsync(file.fileno())
                return file.tell()
        except BaseError as error:
            raise Unavailable(f"{path} cannot be read: {_short(error)}") from error

    def _read(self, path: str) -> bytes:
        try:
            return bytes(self._bucket.get(path).bytes())
        except BaseError as error:
            raise Unavailable(f"{path} cannot be read: {_short(error)}") from error

    def _clear(self, name: str, wanted: set[int]) -> None:
        for version, folder in repository.folders(self._folder / name).items():
            if version not in wanted:
                aside = folder.with_name(f".{folder.name}.gone")
                folder.rename(aside)  # a server never meets half of it
                shutil.rmtree(aside)
                log.info("%s version %d: removed", name, version)


@contextlib.contextmanager
def _arriving(model: Path, version: int) -> Iterator[Path]:
    """A folder to fill; it becomes the version when the block ends well and is removed when it does not."""
    aside = model / f".{version}.arriving"
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.rename(model / str(version))
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _is_name(name: str) -> bool:
    try:
        repository.check_name(name)
    except BadInput:
        return False
    return True


def _sweep(model: Path) -> None:
    """Remove what a killed copy or removal left, also of versions that nobody wants any more."""
    for left in (*model.glob(".*.arriving"), *model.glob(".*.gone")):
        shutil.rmtree(left, ignore_errors=True)


def _short(error: Exception) -> str:
    text = error.message if isinstance(error, ServingError) else str(error)
    return " ".join(text.split())[:300]


@click.command()
@click.option("--from", "address", envvar="MODELS_FROM", required=True, help="s3://BUCKET/PATH or gs://BUCKET/PATH.")
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="Models folder.")
@click.option("--keep", default=2, show_default=True, type=click.IntRange(1), help="Newest versions of each model.")
@click.option("--every", default=0.0, help="Look again after so many seconds; 0: only once.")
def main(address: str, folder: Path, keep: int, every: float) -> None:
    """Bring versions from a bucket; without --every, exit code 1 if a model is left without any."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))  # as process 1 it would be ignored otherwise
    while True:
        lacking = True
        try:
            found = Store(opened(address), folder, keep).fetch()
            failures, lacking = found.failures, bool(found.empty)
        except ServingError as error:
            failures = [_short(error)]
        for failure in failures:
            log.error("%s", failure)
        if not every:
            sys.exit(1 if lacking else 0)  # a bad upload of one version must not keep pods from serving the last good
        time.sleep(every)


if __name__ == "__main__":
    main()
