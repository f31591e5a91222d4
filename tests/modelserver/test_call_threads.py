"""The threads that answer gRPC calls, by themselves."""

import threading
from collections.abc import Iterator

import pytest

from serving.modelserver.call_threads import CallExecutor, are_short


@pytest.fixture
def threads() -> Iterator[CallExecutor]:
    """Two threads that answer."""
    made = CallExecutor(2)
    yield made
    made.shutdown()


def test_a_call_that_is_called_off_gives_its_thread_back(threads: CallExecutor) -> None:
    called_off = sum(threads.submit(are_short).cancel() for _ in range(2000))

    assert called_off > 0
    assert any(not threads.submit(are_short).result(10) for _ in range(1000)), "both threads are taken for ever"


def test_a_call_beyond_all_threads_is_refused_and_the_next_one_is_not(threads: CallExecutor) -> None:
    hold, begun = threading.Event(), threading.Barrier(3)

    def work() -> bool:
        begun.wait(10)
        return hold.wait(10)

    held = [threads.submit(work) for _ in range(2)]
    begun.wait(10)

    assert threads.submit(are_short).result(10)
    hold.set()
    assert all(call.result(10) for call in held)
    assert not threads.submit(are_short).result(10)


def test_what_a_call_raises_reaches_whoever_waits_for_it(threads: CallExecutor) -> None:
    def fail() -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        threads.submit(fail).result(10)
    assert not threads.submit(are_short).result(10)
