"""Close what is in use: no new runs, then wait for those under way."""

import threading
from types import TracebackType
from typing import Self

from serving.errors import Unavailable


class Drain:
    """Counts the runs under way, so that nothing is freed under their feet. Every request passes here twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._under_way = 0
        self.closed = False

    def use(self) -> Self:
        """Hold what is guarded until the block ends: `with drain.use()`, which raises Unavailable once it is closed."""
        return self

    def __enter__(self) -> None:
        with self._lock:
            if self.closed:
                raise Unavailable("This version was unloaded; ask again for the newest")
            self._under_way += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._under_way -= 1
            if self.closed and not self._under_way:
                self._idle.set()

    def close(self) -> bool:
        """Refuse new runs and wait for the rest; True the first time, when the caller is to free what is guarded."""
        with self._lock:
            first, self.closed = not self.closed, True
            if not self._under_way:
                self._idle.set()
        self._idle.wait()
        return first
