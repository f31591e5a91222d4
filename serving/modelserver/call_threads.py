"""The threads that gRPC calls are answered on: started as they are needed, kept, and never missed silently.

grpc hands every call to an executor. Where the system has no thread left (a container's limit of
processes, no memory for a stack), a ThreadPoolExecutor raises into grpc's only serving thread, which
ends: every later call hangs. Here such a call goes to one of a few threads that exist from the start
and is refused there; `are_short()` tells grpc_server.py that it runs on one of those.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

from serving.errors import Overloaded

T = TypeVar("T")
_Work = Callable[[], None]
_REFUSERS = 4
_here = threading.local()


def are_short() -> bool:
    """Whether this thread is there to refuse a call for which no thread could be started."""
    return bool(getattr(_here, "refuses", False))


class CallThreads(Executor):
    """At most so many threads; a call finds an idle one, or a new one, or is refused."""

    def __init__(self, most: int) -> None:
        """Start the few that refuse.

        Raises:
            Overloaded: the system has no thread even for those.
        """
        self._most = most
        self._lock = threading.Lock()
        self._calls: SimpleQueue[_Work | None] = SimpleQueue()
        self._refusals: SimpleQueue[_Work | None] = SimpleQueue()
        self._idle = self._started = 0
        self._closed = False
        for _ in range(_REFUSERS):
            if not _start(self._refuse, "grpc-refuse"):
                self.shutdown()
                raise Overloaded("No thread can be started; raise the limit of threads of this user or container")

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> "Future[T]":
        """See Executor.submit; raises RuntimeError only after shutdown."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                self._is_free()
                return
            try:
                outcome = work(*arguments, **named)
            except BaseException as error:  # whoever waits for the future hears of it
                self._is_free()
                future.set_exception(error)
            else:
                self._is_free()
                future.set_result(outcome)

        with self._lock:
            if self._closed:
                raise RuntimeError("cannot take calls after the end")
            if self._has_room():
                self._idle -= 1
                self._calls.put(run)
            else:
                self._refusals.put(run)
        return future

    def _has_room(self) -> bool:
        """Whether a thread is idle, if need be a new one. Called under the lock."""
        if not self._idle and self._started < self._most and _start(self._answer, f"grpc-{self._started}"):
            self._started += 1
            self._idle += 1
        return self._idle > 0

    def _is_free(self) -> None:
        """Told before the outcome is, since grpc lets the next call in when it hears of that."""
        if not are_short():
            with self._lock:
                self._idle += 1

    def _answer(self) -> None:
        while (work := self._calls.get()) is not None:
            work()
            del work  # the next call may be long in coming, and the last one's tensors large

    def _refuse(self) -> None:
        _here.refuses = True
        while (work := self._refusals.get()) is not None:
            work()
            del work

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Let every thread end when its work does; nobody waits for them."""
        with self._lock:
            self._closed = True
            for _ in range(self._started):
                self._calls.put(None)
            for _ in range(_REFUSERS):
                self._refusals.put(None)


def _start(target: Callable[[], None], name: str) -> bool:
    try:
        threading.Thread(target=target, name=name, daemon=True).start()
    except RuntimeError:  # the system has none
        return False
    return True
