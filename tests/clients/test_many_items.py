"""Concurrency, order, retries: the parts that know no protocol. And what an import brings along."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import clients
from clients import retries
from clients.fan_out import AHEAD, groups, in_order
from clients.retries import persevere
from serving.errors import BadInput, DeadlineExceeded, Overloaded, ServingError, Unavailable


def test_answers_come_in_the_order_of_the_questions_however_late_the_first_is() -> None:
    others_done = threading.Barrier(3)

    def ask(number: int) -> int:
        if number in (0, 1, 2):
            others_done.wait(10)
        return number * 10

    assert list(in_order(ask, range(50), workers=3)) == [number * 10 for number in range(50)]


def test_no_more_than_the_workers_ask_at_a_time() -> None:
    lock, busy, most = threading.Lock(), 0, 0

    def ask(_number: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.002)
        with lock:
            busy -= 1

    list(in_order(ask, range(60), workers=4))

    assert most <= 4


def test_an_endless_source_is_drawn_from_only_as_answers_are_taken() -> None:
    drawn = 0

    def source() -> Iterator[int]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    answers = in_order(lambda number: number, source(), workers=2)
    taken = [next(answers) for _ in range(10)]

    assert taken == list(range(1, 11))
    assert drawn <= 10 + 2 * AHEAD


def test_groups_are_full_but_for_the_last() -> None:
    assert list(groups(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(groups([], 3)) == []


class Flaky:
    """Fails as often as told, then answers."""

    def __init__(self, failures: int, error: ServingError) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self, _deadline: float) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.mark.parametrize("error", [Unavailable("away"), Overloaded("busy", retry_after_s=0.01)])
def test_what_may_pass_is_tried_again(error: ServingError) -> None:
    call = Flaky(2, error)

    assert persevere(call, time.monotonic() + 10, attempts=3) == "answer"
    assert call.calls == 3


def test_the_last_failure_is_raised_when_attempts_are_used_up() -> None:
    call = Flaky(9, Unavailable("away"))

    with pytest.raises(Unavailable, match="away"):
        persevere(call, time.monotonic() + 10, attempts=2)
    assert call.calls == 2


def test_waits_are_jittered_so_that_callers_do_not_come_back_together() -> None:
    first = {retries._wait_s(Unavailable("away"), 3) for _ in range(20)}
    asked = {retries._wait_s(Overloaded("busy", retry_after_s=1.0), 1) for _ in range(20)}

    assert len(first) == 20
    assert max(first) <= retries.FIRST_WAIT_S * 2**3
    assert min(asked) >= 1.0
    assert max(asked) <= 1.5


def test_bad_input_is_not_tried_again() -> None:
    call = Flaky(1, BadInput("no"))

    with pytest.raises(BadInput):
        persevere(call, time.monotonic() + 10, attempts=5)
    assert call.calls == 1


def test_after_the_deadline_nothing_is_sent() -> None:
    call = Flaky(0, BadInput(""))

    with pytest.raises(DeadlineExceeded):
        persevere(call, time.monotonic() - 1, attempts=5)
    assert call.calls == 0


@pytest.mark.parametrize("module", ["clients.http_client", "clients.grpc_client", "clients.__main__"])
def test_importing_a_client_brings_no_framework_and_no_picture_library(module: str) -> None:
    heavy = "{'tensorflow', 'keras', 'openvino', 'flask', 'PIL', 'simplejpeg', 'google.cloud'}"
    program = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("how", ["import sys, clients.http_client", "import sys; from clients import HttpClient, Tls"])
def test_http_alone_brings_no_grpc(how: str) -> None:
    program = f"{how}; print('grpc' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"


def test_without_a_picture_library_the_refusal_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules['simplejpeg'] = None\n"
        "from clients import grpc_client\n"
        "from serving.errors import Unimplemented\n"
        "try:\n"
        "    grpc_client._preparation()\n"
        "except Unimplemented as error:\n"
        "    print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert "pip install pillow simplejpeg" in done.stdout


def test_the_package_gives_every_name_that_it_lists_and_no_other() -> None:
    assert all(getattr(clients, name).__name__ == name for name in clients.__all__)
    with pytest.raises(AttributeError, match="unicorn"):
        getattr(clients, "unicorn")  # noqa: B009  # what a misspelled import asks for
