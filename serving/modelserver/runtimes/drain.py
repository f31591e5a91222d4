"""Close what is in use: no new runs, then wait for those under way."""

import contextlib
import threading
from collections.abc import Iterator

from serving.errors import Unavailable


class Drain:
    """Counts the runs under way, so that nothing is freed under their feet."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._under_way = 0
        self.closed = False

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Hold what is guarded until the block ends.

        Raises:
            Unavailable: it was closed.
        """
        with self._condition:
            if self.closed:
                raise Unavailable("This version was unloaded; ask again for the newest")
            self._under_way += 1
        try:
            yield
        finally:
            with self._condition:
                self._under_way -= 1
                if not self._under_way:
                    self._condition.notify_all()

    def close(self) -> bool:
        """Refuse new runs and wait for the rest; True the first time, when the caller is to free what is guarded."""
        with self._condition:
            first, self.closed = not self.closed, True
            self._condition.wait_for(lambda: not self._under_way)
        return first
