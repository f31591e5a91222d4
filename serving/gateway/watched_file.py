"""WatchedFile: settings that may change while the gateway runs, such as API keys and routing rules.

A changed file is read again within LOOK_AGAIN_S of being asked for. A broken one leaves in force
what was read before; that is logged once per change and can be seen by `broken`.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from serving.gateway.config import ConfigError

LOOK_AGAIN_S = 1.0

log = logging.getLogger(__name__)

C = TypeVar("C")


class WatchedFile(Generic[C]):
    """What `read` makes of a file. Thread-safe."""

    def __init__(self, path: Path, read: Callable[[Path], C]) -> None:
        """Raises: ConfigError: as `read` does at the start, where there is nothing to fall back on."""
        self.broken = False
        self.look_at = monotonic() + LOOK_AGAIN_S
        self._path, self._read = path, read
        self._lock = Lock()
        self._stamp = _stamp(path)
        self._content = read(path)

    def content(self) -> C:
        """What is in force now; microseconds while the file is as it was."""
        if monotonic() >= self.look_at and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._content

    def _look(self) -> None:
        self.look_at = monotonic() + LOOK_AGAIN_S
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._content = self._read(self._path)
            self.broken = False
        except ConfigError as error:
            self.broken = True
            log.warning("what %s said before stays in force: %s", self._path.name, error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
