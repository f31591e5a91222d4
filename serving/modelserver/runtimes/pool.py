"""Share a few things among many threads, first come first served.

A plain queue lets a busy thread take back what it has just returned, while others wait for seconds.
"""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Waiter(Generic[T]):
    """Sleeps until something is handed over."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()

    def hand(self, thing: T) -> None:
        self._thing = thing
        self._gate.release()

    def wait(self) -> T:
        self._gate.acquire()
        return self._thing


class Pool(Generic[T]):
    """Things that one thread at a time may use."""

    def __init__(self, things: Iterable[T]) -> None:
        self._free = list(things)
        self._waiting: deque[_Waiter[T]] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many threads wait for one."""
        return len(self._waiting)

    def take(self) -> T:
        """Any of them, as soon as those who came earlier have had theirs; the last one used if there is a choice.

        give_back() must follow, whatever happens.
        """
        with self._lock:
            if self._free:
                return self._free.pop()
            waiter = _Waiter[T]()
            self._waiting.append(waiter)
        return waiter.wait()

    def give_back(self, thing: T) -> None:
        """Let the next have it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().hand(thing)
            else:
                self._free.append(thing)
