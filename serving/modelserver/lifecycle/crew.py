"""Threads that end by themselves, can be waited for, and never keep the process alive."""

import threading
import time
from collections.abc import Callable
from typing import Any


class Crew:
    """Starts daemonic threads and knows those that still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    def start(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Run `work` in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(work, *arguments), name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

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
        return not any(thread.is_alive() for thread in threads)
