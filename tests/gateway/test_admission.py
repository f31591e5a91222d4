"""More work than can be done: the queue is bounded, refusals are prompt and helpful, and it recovers."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from serving.errors import DeadlineExceeded, Overloaded
from serving.gateway.admission import Admission
from serving.gateway.limit import AdaptiveLimit
from tests.gateway.caller import RED, Caller, head
from tests.gateway.classifiers import COLORS, Classifiers, Gate
from tests.gateway.conftest import Serve
from tests.gateway.test_observing import samples
from tests.waiting import until


def admission(in_flight: int, waiting: int = 4) -> Admission:
    return Admission(AdaptiveLimit(in_flight, 0.01, start=in_flight), waiting)


async def enter(door: Admission, deadline: float) -> None:
    """As the front does it."""
    if not door.enter_at_once():
        await door.wait(deadline)


def later() -> float:
    return monotonic() + 60


def test_a_turn_goes_to_whoever_waited_longest() -> None:
    async def story() -> list[str]:
        order: list[str] = []
        door = admission(1)
        await enter(door, later())

        async def caller(name: str) -> None:
            await enter(door, later())
            order.append(name)
            door.leave()

        callers = [asyncio.create_task(caller(name)) for name in "abc"]
        await asyncio.sleep(0)
        door.leave()
        await asyncio.gather(*callers)
        assert (door.in_flight, door.waiting) == (0, 0)
        return order

    assert asyncio.run(story()) == ["a", "b", "c"]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def story() -> None:
        door = admission(1, waiting=0)
        await enter(door, later())
        with pytest.raises(Overloaded) as refused:
            await enter(door, later())
        assert refused.value.retry_after_s is not None
        assert door.shed == 1

    asyncio.run(story())


def test_whoever_cannot_be_in_time_is_refused_instead_of_queued() -> None:
    async def story() -> None:
        door = admission(1, waiting=100)
        door.limit.latency_s = 10.0
        await enter(door, later())
        with pytest.raises(Overloaded):
            await enter(door, later())
        with pytest.raises((Overloaded, DeadlineExceeded)):
            await enter(door, monotonic() - 1)
        assert door.waiting == 0

    asyncio.run(story())


def test_a_caller_whose_patience_ends_leaves_no_trace() -> None:
    async def story() -> None:
        door = admission(1)
        await enter(door, later())
        with pytest.raises(Overloaded):
            await enter(door, later())  # nobody ever leaves, so the short patience ends
        assert (door.in_flight, door.waiting) == (1, 0)
        door.leave()
        await enter(door, later())
        assert door.in_flight == 1

    asyncio.run(story())


def test_a_caller_that_is_cancelled_while_waiting_gives_its_place_back() -> None:
    async def story() -> None:
        door = admission(1)
        await enter(door, later())
        waiting = asyncio.create_task(enter(door, later()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        door.leave()
        assert (door.in_flight, door.waiting) == (0, 0)

    asyncio.run(story())


@pytest.fixture
def jammed(serve: Serve) -> tuple[Caller, Gate]:
    """A gateway whose back end answers nothing until the gate opens."""
    upstream = Classifiers(COLORS)
    caller = serve(upstream, max_in_flight=2, max_waiting=2)
    gate = Gate()
    upstream.before_answer = gate
    return caller, gate


def test_with_the_back_end_jammed_the_rest_is_refused_and_health_and_metrics_answer(
    jammed: tuple[Caller, Gate],
) -> None:
    caller, gate = jammed
    with ThreadPoolExecutor(20) as callers:
        stuck = [callers.submit(caller.classify, RED) for _ in range(20)]
        assert gate.reached.wait(10)
        refused = caller.classify(RED)
        assert (refused.status, caller.ask("/livez").status) == (503, 200)
        assert b"gateway_in_flight 2.0" in caller.ask("/metrics").body
        gate.open.set()
        answers = [future.result() for future in stuck]

    assert int(refused.headers["retry-after"]) >= 1
    assert {answer.status for answer in answers} == {200, 503}
    assert sum(answer.status == 200 for answer in answers) <= 4
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)


def test_a_few_threads_answer_everyone_who_is_let_in_and_health_answers_beside_them(serve: Serve) -> None:
    upstream = Classifiers(COLORS)
    before = set(threading.enumerate())
    caller = serve(upstream, work_threads=1)
    workers = [one.name for one in set(threading.enumerate()) - before if one.name.startswith("gateway-work")]
    gate = Gate()
    upstream.before_answer = gate
    with ThreadPoolExecutor(3) as callers:
        asked = [callers.submit(caller.classify, RED) for _ in range(3)]
        until(lambda: b"gateway_in_flight 3.0" in caller.ask("/metrics").body)
        assert caller.ask("/livez").status == 200
        gate.open.set()
        answers = [future.result() for future in asked]

    assert len(workers) == 1
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_a_caller_that_leaves_the_queue_takes_its_work_along(jammed: tuple[Caller, Gate]) -> None:
    caller, gate = jammed
    with ThreadPoolExecutor(2) as callers:
        stuck = [callers.submit(caller.classify, RED) for _ in range(2)]
        until(lambda: b"gateway_in_flight 2.0" in caller.ask("/metrics").body)
        with caller.connect() as leaving:
            leaving.sendall(head(length=len(RED)) + RED)
            until(lambda: b"gateway_waiting 1.0" in caller.ask("/metrics").body)
        until(lambda: frozenset(["", "other", "CANCELLED", "499"]) in samples(caller, "gateway_requests_total"))
        assert b"gateway_waiting 0.0" in caller.ask("/metrics").body
        gate.open.set()
        assert [future.result().status for future in stuck] == [200, 200]

    counted = samples(caller, "gateway_requests_total")
    assert counted[frozenset(["colors", "1", "classify", "raw", "OK", "200"])] == 2
    assert b"gateway_in_flight 0.0" in caller.ask("/metrics").body


def test_after_the_jam_everything_is_as_before(jammed: tuple[Caller, Gate]) -> None:
    caller, gate = jammed
    with ThreadPoolExecutor(10) as callers:
        stuck = [callers.submit(caller.classify, RED) for _ in range(10)]
        assert gate.reached.wait(10)
        gate.open.set()
        for future in stuck:
            future.result()

    assert caller.classify(RED).status == 200
    assert b"gateway_in_flight 0.0" in caller.ask("/metrics").body


def test_work_whose_time_is_over_is_dropped_before_the_model_is_asked(jammed: tuple[Caller, Gate]) -> None:
    caller, gate = jammed
    gate.open.set()
    answer = caller.classify(RED, **{"X-Request-Timeout": "0.000001"})

    assert answer.status in {503, 504}
    assert "retry-after" in answer.headers
