"""Background: work that may be late or left out, such as shadow requests and samples.

One thread and a bounded queue per kind of work. Whoever offers a job never waits: what does not
fit is dropped and counted.
"""

import logging
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Generic, TypeVar

MOST_JOBS = 32
MOST_BYTES = 32 * 2**20
IDLE_S = 60.0
CLOSE_S = 2.0

log = logging.getLogger(__name__)

J = TypeVar("J")


class Background(Generic[J]):
    """Does jobs one after the other; `idle` is called now and then when there is none."""

    def __init__(self, name: str, work: Callable[[J], None], idle: Callable[[], None] = lambda: None) -> None:
        self._work, self._idle = work, idle
        self._jobs: deque[tuple[J, int]] = deque()
        self._bytes = 0
        self._over = False
        self._changed = Condition()
        self._thread = Thread(target=self._work_on, name=f"gateway-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def offer(self, job: J, size: int) -> bool:
        """Take a job that holds `size` bytes, if there is room; never blocks."""
        with self._changed:
            if self._over or len(self._jobs) >= MOST_JOBS or self._bytes + size > MOST_BYTES:
                return False
            self._jobs.append((job, size))
            self._bytes += size
            self._changed.notify()
            return True

    def close(self) -> None:
        """Finish what is there, for CLOSE_S at most."""
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _work_on(self) -> None:
        while True:
            with self._changed:
                if not self._jobs and not self._over:
                    self._changed.wait(IDLE_S)
                taken = self._jobs.popleft() if self._jobs else None
                if taken is None and self._over:
                    return
            try:
                self._idle() if taken is None else self._work(taken[0])
            except Exception:  # one bad job must not be the end of all later ones
                log.exception("%s: a job failed", self._thread.name)
            if taken is not None:
                with self._changed:
                    self._bytes -= taken[1]
