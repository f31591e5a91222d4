"""Fresh: answers of a remote that are good for a moment, and better old than none when it is away."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar

from serving.errors import NotFound, Unavailable

V = TypeVar("V")


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V | NotFound
    """What is not there is told by an exception that was never raised: a raised one would hold the frames of the
    request that met it, and with them its body."""
    at: float


class Fresh(Generic[V]):
    """A bounded cache in front of `load`; what is not found is remembered too. Thread-safe."""

    def __init__(self, fresh_s: float, stale_s: float, most: int) -> None:
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._most = most
        self._entries: dict[Hashable, _Entry[V]] = {}
        self._loading = Lock()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], V]) -> V:
        """The value of a key; of several callers that find it old, one loads it and the others take the old one.

        Raises:
            NotFound: as `load` did, now or a moment ago.
            ServingError: as `load` does.
        """
        entry, now = self._entries.get(key), monotonic()
        if entry is not None and now - entry.at < self._fresh_s:
            return _opened(entry)
        if entry is None or now - entry.at > self._stale_s:
            return _opened(self._load(key, load))
        if not self._loading.acquire(blocking=False):
            return _opened(entry)
        try:
            return _opened(self._load(key, load))
        except Unavailable:
            return _opened(entry)
        finally:
            self._loading.release()

    def forget(self, key: Hashable) -> None:
        """Load it anew next time."""
        with self._lock:
            self._entries.pop(key, None)

    def forget_all(self, matches: Callable[[Any], bool]) -> None:
        """Load anew what has a key that matches."""
        with self._lock:
            for key in [key for key in self._entries if matches(key)]:
                del self._entries[key]

    def _load(self, key: Hashable, load: Callable[[], V]) -> _Entry[V]:
        try:
            entry: _Entry[V] = _Entry(load(), monotonic())
        except NotFound as error:
            entry = _Entry(NotFound(error.message), monotonic())
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self._most:
                del self._entries[next(iter(self._entries))]
        return entry


def _opened(entry: _Entry[V]) -> V:
    if isinstance(entry.value, NotFound):
        raise NotFound(entry.value.message)
    return entry.value
