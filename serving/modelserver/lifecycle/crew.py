"""Threads that end by themselves, can be waited for, and never keep the process alive."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger(__name__)


class Crew:
    """Starts daemonic threads and knows those that still run.

    Work for which the system has no thread waits until `start` or `again` is called next: a load must not
    be lost, nor a request fail, since some other process has used up the threads of a container.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._waiting: list[threading.Thread] = []

    def start(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Run `work` in a thread of its own, now or when there is one."""
        with self._lock:
            self._waiting.append(self._made(name, work, arguments))
        self.again()

    def again(self) -> None:
        """Start what waits, in its order, as far as there are threads."""
        with self._lock:
            while self._waiting:
                thread = self._waiting[0]
                self._threads.add(thread)
                try:
                    thread.start()
                except RuntimeError as error:
                    self._threads.discard(thread)
                    LOG.error("%s waits, no thread can be started for it: %s", thread.name, error)
                    return
                self._waiting.pop(0)

    def _made(self, name: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> threading.Thread:
        return threading.Thread(target=self._run, args=(work, *arguments), name=name, daemon=True)

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def join(self, deadline: float) -> bool:
        """Wait until all have ended, or for so long; whether they have."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not self._waiting and not any(thread.is_alive() for thread in threads)
