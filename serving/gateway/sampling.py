"""Sampling: keep a few requests for people to label later. Off unless a folder is given.

One folder a sample, `<UTC time>-<random>/`: the pictures or texts as they came, and `answer.json` with
what was said of them. Written beside and renamed, so a sample is whole or not there; the oldest go
when there are too many bytes or days of them. Nothing else of the gateway keeps what people send.
"""

import contextlib
import logging
import os
import random
import shutil
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from serving.gateway.background import Background
from serving.gateway.bodies import Item
from serving.gateway.classify import Answer
from serving.gateway.config import ConfigError, GatewayConfig
from serving.gateway.documents import Said, Sampling
from serving.gateway.metrics import GatewayMetrics

MARK = "answer.json"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered request."""

    model: str
    request_id: str
    answer: Answer
    predictions: list[Said]


@dataclass(frozen=True, slots=True)
class _Kept:
    folder: Path
    written: datetime
    size: int


class Sampler:
    """Keeps samples in one folder, of which this process is the only writer."""

    def __init__(self, folder: Path, config: GatewayConfig, metrics: GatewayMetrics) -> None:
        """Raises: ConfigError: nothing can be written there."""
        self._folder, self._share = folder, config.sample_share
        self._most_bytes, self._most_age = config.sample_max_bytes, timedelta(days=config.sample_max_days)
        self._metrics = metrics
        self._background: Background[Sample] = Background("samples", self._work, self._clear)
        self._kept = deque(_found(folder))
        self._bytes = sum(kept.size for kept in self._kept)
        self._full = False
        metrics.watch("gateway_sample_bytes", "Samples kept for labeling.", lambda: self._bytes)
        self.close = self._background.close

    def start(self) -> None:
        """Begin, with what has become too old."""
        self._clear()
        self._background.start()

    def described(self) -> Sampling:
        """What callers may know of it."""
        return {
            "folder": str(self._folder),
            "share": self._share,
            "max_bytes": self._most_bytes,
            "max_days": self._most_age / timedelta(days=1),
        }

    def offer(self, sample: Sample) -> None:
        """Keep it, if its turn has come and there is room; never blocks."""
        if random.random() >= self._share:
            return
        if not self._background.offer(sample, sum(map(len, sample.answer.items))):
            self._metrics.sampled("dropped")

    def _work(self, sample: Sample) -> None:
        try:
            self._write(sample)
            self._full = False
        except OSError as error:
            self._metrics.sampled("failed")
            if not self._full:
                log.warning("samples cannot be kept in %s: %s", self._folder, error.strerror)
            self._full = True
        self._clear()

    def _write(self, sample: Sample) -> None:
        now = datetime.now(UTC)
        name = f"{now.strftime(_TIME)}-{os.urandom(4).hex()}"
        aside = self._folder / f".{name}.tmp"
        aside.mkdir(mode=0o700)
        try:
            size = sum(_put(aside / file, data) for file, data in _files(sample))
            aside.rename(self._folder / name)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self._kept.append(_Kept(self._folder / name, now, size))
        self._bytes += size
        self._metrics.sampled("kept")

    def _clear(self) -> None:
        """Remove the oldest until both limits hold."""
        oldest = datetime.now(UTC) - self._most_age
        while self._kept and (self._bytes > self._most_bytes or self._kept[0].written < oldest):
            kept = self._kept.popleft()
            shutil.rmtree(kept.folder, ignore_errors=True)
            self._bytes -= kept.size
            self._metrics.sampled("removed")


def _files(sample: Sample) -> list[tuple[str, bytes]]:
    """Names and contents; the mark of a whole sample comes last."""
    rows = sample.answer.prepared.rows
    names = [f"{row}{_suffix(sample.answer.items[row])}" for row in rows]
    document = {
        "model": sample.model,
        "version": sample.answer.card.version,
        "request_id": sample.request_id,
        "items": [{"file": name, **said} for name, said in zip(names, sample.predictions, strict=True)],
    }
    items = [sample.answer.items[row] for row in rows]
    return [*zip(names, map(_bytes, items), strict=True), (MARK, orjson.dumps(document))]


def _bytes(item: Item) -> bytes:
    if isinstance(item, bytes):
        return item
    return item.encode("utf-8", "surrogatepass") if isinstance(item, str) else orjson.dumps(item)


def _suffix(item: Item) -> str:
    if isinstance(item, str):
        return ".txt"
    if not isinstance(item, bytes):
        return ".json"
    return next((suffix for start, suffix in _SUFFIXES.items() if item.startswith(start)), ".bin")


def _put(path: Path, data: bytes) -> int:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return len(data)


def _found(folder: Path) -> list[_Kept]:
    """The samples of earlier runs, oldest first; what a killed process left half written goes."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "it cannot be written to")
        found = []
        for path in sorted(folder.iterdir()):
            if path.name.endswith(".tmp") and (path.name.startswith(".")):
                shutil.rmtree(path, ignore_errors=True)
            elif (path / MARK).is_file():
                with contextlib.suppress(ValueError):
                    written = datetime.strptime(path.name.partition("-")[0], _TIME).replace(tzinfo=UTC)
                    found.append(_Kept(path, written, sum(file.stat().st_size for file in path.iterdir())))
    except OSError as error:
        raise ConfigError(f"samples cannot be kept in {folder}: {error.strerror}") from error
    return found
