"""Admission in front of a slow back end, in virtual time: minutes of overload pass in a second, without noise."""

import asyncio
import random
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.errors import ServingError
from serving.gateway import admission
from serving.gateway.admission import Admission
from serving.gateway.limit import AdaptiveLimit
from tests.gateway.test_admission import enter

TAKES_S = 0.025
CAPACITY = 1 / TAKES_S


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer whenever there is nothing to do."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        if scheduled and not self._ready:  # type: ignore[attr-defined]
            self.now = max(self.now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


@dataclass
class BackEnd:
    """Answers one request at a time, 40 a second, behind admission."""

    loop: VirtualLoop
    door: Admission
    chance: random.Random
    answered_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    one_at_a_time: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def ask(self) -> None:
        began = self.loop.now
        try:
            await enter(self.door, began + 10)
        except ServingError:
            self.refused_s.append(self.loop.now - began)
            return
        admitted = self.loop.now
        async with self.one_at_a_time:
            await asyncio.sleep(TAKES_S * self.chance.uniform(0.95, 1.05))
        self.door.learn("picture", self.loop.now - admitted)
        self.door.leave()
        self.answered_s.append(self.loop.now - began)

    async def arrive(self, per_s: float, seconds: float) -> None:
        """Strangers come at random, whatever the others are told."""
        self.answered_s.clear()
        self.refused_s.clear()
        until, tasks = self.loop.now + seconds, []
        while self.loop.now < until:
            tasks.append(self.loop.create_task(self.ask()))
            await asyncio.sleep(self.chance.expovariate(per_s))
        await asyncio.gather(*tasks)

    async def take_turns(self, callers: int, seconds: float) -> None:
        """So many callers, each asking again once it has its answer."""
        until = self.loop.now + seconds

        async def caller() -> None:
            while self.loop.now < until:
                await self.ask()

        await asyncio.gather(*(caller() for _ in range(callers)))

    def p99(self) -> float:
        return sorted(self.answered_s)[int(0.99 * len(self.answered_s))]


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    monkeypatch.setattr(admission, "monotonic", loop.time)
    yield loop
    loop.close()


def play(loop: VirtualLoop, story: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(story)


@pytest.fixture(params=[1, 2, 3], ids="seed-{}".format)
def back_end(loop: VirtualLoop, request: pytest.FixtureRequest) -> BackEnd:
    return BackEnd(loop, Admission(AdaptiveLimit(32, 0.06), 64), random.Random(request.param))


def test_a_minute_of_five_times_the_load_keeps_the_goodput_and_the_answers_quick(
    loop: VirtualLoop, back_end: BackEnd
) -> None:
    async def story() -> None:
        await back_end.arrive(0.2 * CAPACITY, 30)
        unloaded_s = back_end.p99()
        await back_end.arrive(5 * CAPACITY, 60)
        assert len(back_end.answered_s) >= 0.8 * CAPACITY * 60
        assert back_end.p99() <= 3 * unloaded_s
        assert sum(wait > 0.005 for wait in back_end.refused_s) < 0.01 * len(back_end.refused_s)
        assert (back_end.door.in_flight, back_end.door.waiting) == (0, 0)

    play(loop, story())


def test_two_seconds_after_an_overload_all_is_as_before(loop: VirtualLoop, back_end: BackEnd) -> None:
    async def story() -> None:
        await back_end.arrive(5 * CAPACITY, 30)
        await back_end.arrive(0.2 * CAPACITY, 2)
        await back_end.arrive(0.2 * CAPACITY, 30)
        assert back_end.refused_s == []
        assert back_end.p99() <= 4 * TAKES_S

    play(loop, story())


def test_a_few_callers_that_wait_for_their_answers_are_never_refused(loop: VirtualLoop, back_end: BackEnd) -> None:
    async def story() -> None:
        await back_end.take_turns(callers=8, seconds=60)
        assert back_end.refused_s == []
        assert len(back_end.answered_s) >= 0.9 * CAPACITY * 60

    play(loop, story())
