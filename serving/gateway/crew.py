"""Crew: threads that do an event loop's work and bring it what came of it.

`loop.run_in_executor` makes two futures, a condition, a lock and four callbacks of every call, some fifty calls of
Python; this is a queue on the way there and one callback on the way back.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, NamedTuple, TypeVar

R = TypeVar("R")


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    work: Callable[..., Any]
    given: tuple[Any, ...]


class Crew(Generic[R]):
    """So many threads; they are daemons, so that one that is stuck holds up no end of the process."""

    def __init__(self, threads: int, name: str) -> None:
        self._due: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work_on, name=f"gateway-{name}_{number}", daemon=True) for number in range(threads)
        ]
        self._over = False

    def start(self) -> None:
        """Start every thread now, so that none has to be made under load."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Start nothing more; threads end with the work that they have."""
        self._over = True
        with suppress(Empty):
            while True:
                self._due.get_nowait()
        for _ in self._threads:
            self._due.put(None)

    def do(self, work: Callable[..., R], *given: Any) -> asyncio.Future[R]:
        """What `work` returns or raises, once a thread has done it; not begun if cancelled by then.

        Raises:
            RuntimeError: the crew is closed.
        """
        if self._over:
            raise RuntimeError("the gateway is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._due.put(_Job(loop, answer, work, given))
        return answer

    def _work_on(self) -> None:
        while (job := self._due.get()) is not None:
            if not job.answer.cancelled():
                _do(job)
            del job  # else it holds a whole request until the next one comes


def _do(job: _Job) -> None:
    told: tuple[Callable[..., None], asyncio.Future[Any], Any]
    try:
        told = _succeed, job.answer, job.work(*job.given)
    except BaseException as error:
        told = _fail, job.answer, error
    try:
        job.loop.call_soon_threadsafe(*told)
    except RuntimeError:  # the loop has closed meanwhile, and nobody waits any more
        pass
    finally:
        del told  # an error's traceback leads back to this frame


def _succeed(answer: asyncio.Future[Any], found: Any) -> None:
    if not answer.done():
        answer.set_result(found)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
