"""The threads that gRPC calls are answered on: started as they are needed, kept, and never missed silently.

grpc_door.py starts work here and hears at once where no thread is left. Python's grpc wants an executor
instead, and must not get an exception from it: where the system has no thread left (a container's limit of
processes, no memory for a stack), a ThreadPoolExecutor raises into grpc's only serving thread, which
ends: every later call hangs. `CallExecutor` sends such a call to one of a few threads that exist from the start
and refuse it there; `are_short()` tells that this is one of those.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from serving.errors import Overloaded

log = logging.getLogger(__name__)

T = TypeVar("T")
Tell = Callable[[], None]
"""What is left to do when a thread counts as free again: whoever hears that may send the next call at once."""
Work = Callable[[], Tell | None]
"""What it raises is logged, and nobody hears of it."""
_REFUSERS = 4
_here = threading.local()


def are_short() -> bool:
    """Whether this thread is there to refuse a call for which no thread could be started."""
    return bool(getattr(_here, "refuses", False))


class CallThreads:
    """At most so many threads; work finds an idle one, or a new one, or is refused, or waits for one."""

    def __init__(self, most: int, *, waits: bool = False) -> None:
        self._most, self._waits = most, waits
        self._lock = threading.Lock()
        self._calls: SimpleQueue[Work | None] = SimpleQueue()
        self._started = self._idle = 0
        """Of the idle ones, those that work waits for are taken off: it may be less than none."""

    def start(self, work: Work) -> None:
        """Have it done, soon.

        Raises:
            Overloaded: every thread is busy and there may be, or can be, no other; it only waits where there is one.
        """
        with self._lock:
            if self._idle <= 0:
                self._grow()
            self._idle -= 1
        self._calls.put(work)

    def _grow(self) -> None:
        """One thread more, unless the work may wait."""
        may_wait = self._waits and self._started > 0
        if self._started < self._most:
            if _start(self._answer, f"grpc-{self._started}"):
                self._started += 1
                self._idle += 1
            elif not may_wait:
                raise Overloaded("No thread can be started for this call; try again later")
        elif not may_wait:
            raise Overloaded(f"{self._started} calls are under way already; try again later")

    def _answer(self) -> None:
        while (work := self._calls.get()) is not None:
            tell = _done(work)
            with self._lock:
                self._idle += 1
            if tell is not None:
                _done(tell)
            del work, tell  # the next call may be long in coming, and the last one's tensors large

    def shutdown(self) -> None:
        """Let every thread end when its work does; nobody waits for them, and nothing more may be started."""
        with self._lock:
            self._most = 0
            for _ in range(self._started):
                self._calls.put(None)


class CallExecutor(Executor):
    """The same for Python's grpc: a call finds a thread, or is refused on one of a few others."""

    def __init__(self, most: int) -> None:
        """Start the few that refuse.

        Raises:
            Overloaded: the system has no thread even for those.
        """
        self._threads = CallThreads(most)
        self._refusals: SimpleQueue[Work | None] = SimpleQueue()
        self._closed = False
        for _ in range(_REFUSERS):
            if not _start(self._refuse, "grpc-refuse"):
                self.shutdown()
                raise Overloaded("No thread can be started; raise the limit of threads of this user or container")

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> "Future[T]":
        """See Executor.submit; raises RuntimeError only after shutdown."""
        future: Future[T] = Future()

        def run() -> Tell | None:
            if not future.set_running_or_notify_cancel():
                return None
            try:
                return partial(future.set_result, work(*arguments, **named))
            except BaseException as error:  # whoever waits for the future hears of it
                return partial(future.set_exception, error)

        if self._closed:
            raise RuntimeError("cannot take calls after the end")
        try:
            self._threads.start(run)
        except Overloaded:
            self._refusals.put(run)
        return future

    def _refuse(self) -> None:
        _here.refuses = True
        while (work := self._refusals.get()) is not None:
            if (tell := work()) is not None:
                tell()
            del work, tell

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Let every thread end when its work does; nobody waits for them."""
        self._closed = True
        self._threads.shutdown()
        for _ in range(_REFUSERS):
            self._refusals.put(None)


def _done(work: Callable[[], T]) -> T | None:
    """What comes of it; a thread outlives what it does, or its place would be lost."""
    try:
        return work()
    except Exception:
        log.exception("a call failed unexpectedly")
        return None


def _start(target: Callable[[], None], name: str) -> bool:
    try:
        threading.Thread(target=target, name=name, daemon=True).start()
    except RuntimeError:  # the system has none
        return False
    return True
