"""Threads that do an event loop's work."""

import asyncio
import threading
from threading import Event

import pytest

from serving.gateway.crew import Crew


def test_work_is_done_in_the_threads_of_the_crew() -> None:
    crew: Crew[str] = Crew(2, "test")
    crew.start()

    async def ask() -> list[str]:
        return await asyncio.gather(*(crew.do(lambda: threading.current_thread().name) for _ in range(8)))

    assert set(asyncio.run(ask())) <= {"gateway-test_0", "gateway-test_1"}
    crew.close()


def test_what_the_work_raises_is_raised_where_it_is_awaited() -> None:
    crew: Crew[int] = Crew(1, "test")
    crew.start()

    async def ask() -> None:
        with pytest.raises(ValueError, match="abc"):
            await crew.do(int, "abc")
        assert await crew.do(int, "7") == 7

    asyncio.run(ask())
    crew.close()


def test_what_is_cancelled_before_its_turn_is_never_begun() -> None:
    crew: Crew[object] = Crew(1, "test")
    crew.start()
    gate = Event()
    begun: list[str] = []

    async def ask() -> None:
        first, second = crew.do(gate.wait, 10), crew.do(begun.append, "second")
        second.cancel()
        gate.set()
        assert await first is True
        assert await crew.do(lambda: "third") == "third"

    asyncio.run(ask())
    assert begun == []
    crew.close()


def test_an_answer_that_comes_after_the_loop_has_closed_disturbs_nobody() -> None:
    crew: Crew[object] = Crew(1, "test")
    crew.start()
    gate, reached = Event(), Event()

    def work() -> None:
        reached.set()
        gate.wait(10)

    async def ask() -> None:
        crew.do(work)
        await asyncio.to_thread(reached.wait, 10)

    asyncio.run(ask())
    gate.set()

    async def ask_again() -> object:
        return await crew.do(lambda: "still here")

    assert asyncio.run(ask_again()) == "still here"
    crew.close()


def test_a_closed_crew_ends_its_threads_and_takes_no_work() -> None:
    crew: Crew[None] = Crew(2, "test")
    crew.start()
    crew.close()
    for thread in crew._threads:
        thread.join(10)
        assert not thread.is_alive()

    async def ask() -> None:
        with pytest.raises(RuntimeError, match="closed"):
            crew.do(lambda: None)

    asyncio.run(ask())
