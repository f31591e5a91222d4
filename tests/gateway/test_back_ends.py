"""Several model servers behind one address: each gets its share, and one may go under load without harm."""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from serving.gateway.remote import RemoteUpstream
from tests.bench.fixed_server import MODEL, READY
from tests.gateway.caller import JPEG, RED, Caller
from tests.gateway.conftest import Serve
from tests.processes import following
from tests.waiting import until

PATH = f"/v1/models/{MODEL}/classify"
COMMAND = (sys.executable, "-m", "tests.bench.fixed_server", "0.001")


class BackEnds:
    """Processes that can be ended one by one."""

    def __init__(self, count: int) -> None:
        self.stacks = [ExitStack() for _ in range(count)]
        started = [stack.enter_context(following(COMMAND, READY)) for stack in self.stacks]
        self.processes = [process for process, _ in started]
        self.addresses = [lines[-1].removeprefix(READY) for _, lines in started]

    def close(self) -> None:
        for stack in self.stacks:
            stack.close()


@pytest.fixture(scope="module")
def back_ends() -> Iterator[BackEnds]:
    found = BackEnds(3)
    yield found
    found.close()


@pytest.fixture
def upstream(back_ends: BackEnds) -> Iterator[RemoteUpstream]:
    found = RemoteUpstream(f"ipv4:{','.join(back_ends.addresses)}", models=(MODEL,))
    yield found
    found.close()


def peers(caller: Caller, upstream: RemoteUpstream, requests: int) -> Counter[str]:
    """Which back end answered how many, as each says in a trailer."""
    found: Counter[str] = Counter()
    method: Any = upstream._predict
    lock = threading.Lock()

    def noted(request: object, **options: object) -> object:
        answer, call = method.with_call(request, **options)
        with lock:
            found.update(value for name, value in call.trailing_metadata() if name == "served-by")
        return answer

    upstream._predict = noted
    try:
        assert {caller.ask(PATH, RED, JPEG).status for _ in range(requests)} == {200}
    finally:
        upstream._predict = method
    return found


def test_all_addresses_are_used_in_turn(serve: Serve, upstream: RemoteUpstream) -> None:
    caller = serve(upstream)
    until(lambda: len(peers(caller, upstream, 12)) == 3)
    shares = peers(caller, upstream, 60)

    assert min(shares.values()) >= 15


def test_one_that_is_killed_under_load_costs_no_caller_anything(
    serve: Serve, upstream: RemoteUpstream, back_ends: BackEnds
) -> None:
    caller = serve(upstream)
    until(lambda: len(peers(caller, upstream, 12)) == 3)
    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(caller.ask, PATH, RED, JPEG) for _ in range(100)]
        first[20].result()
        back_ends.processes[0].kill()
        statuses = Counter(answer.result().status for answer in first)
        statuses.update(pool.submit(caller.ask, PATH, RED, JPEG).result().status for _ in range(50))

    assert statuses == {200: 150}
    assert len(peers(caller, upstream, 30)) == 2
