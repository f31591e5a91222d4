"""How calls and connections end before their time: callers who leave, who are slow, who say nothing."""

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.errors import Unavailable
from serving.modelserver.grpc_door import GrpcDoor, GrpcOptions
from tests.modelserver.http2.callers import (
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    RST_STREAM,
    Caller,
    call,
    call_head,
    frame,
    framed,
    window,
)
from tests.modelserver.http2.doors import Stage, stage
from tests.modelserver.http2.test_windows import ask_zeros
from tests.waiting import until

DEADLINE_EXCEEDED = 4


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))


def pour(caller: Caller, parts: Iterable[bytes]) -> None:
    for part in parts:
        caller.send(part)


def test_a_reset_in_the_middle_of_a_request_gives_its_bytes_back(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call_head(1), frame(DATA, 0, 1, b"\0\0\1\0\0" + bytes(5000)))
        until(lambda: shared.held_bytes >= 5000)
        caller.send(reset(1))
        shared.until_nothing_is_held()
        caller.send(call(3))
        assert caller.answer(3).status == 0


def test_a_reset_of_a_running_call_frees_its_stream_at_once_and_its_bytes_when_it_has_run() -> None:
    with stage() as door, Caller(door) as caller:
        caller.send(call(1, "Hold", b"running"))
        until(lambda: door.acts.ran)
        caller.send(reset(1), call(3))
        assert caller.answer(3).status == 0
        assert (door.streams, door.busy_threads, door.held_bytes > 0) == (0, 1, True)

        door.acts.open.set()
        door.until_nothing_is_held()
        assert caller.answered() == []


def test_a_reset_of_an_answer_that_waits_drops_it(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 100)) as caller:
        caller.send(ask_zeros(1, 1_000_000), ask_zeros(3, 1_000_000))
        until(lambda: shared.unread_bytes > 1_900_000)
        caller.send(reset(1))
        until(lambda: shared.unread_bytes < 1_100_000)
        caller.send(reset(3), window(0, 1 << 20), call(5))
        assert caller.answer(5).status == 0
    shared.until_nothing_is_held()


@pytest.mark.parametrize("method", ["Hold", "HoldAndFail"])
def test_a_call_that_is_reset_as_it_ends_gives_its_bytes_back_once(method: str) -> None:
    with stage() as door, Caller(door) as caller:
        for number in range(100):
            door.acts.open.clear()
            caller.send(call(2 * number + 1, method, b"x" * 100))
            until(lambda number=number: len(door.acts.ran) > number)  # type: ignore[misc]
            caller.send(reset(2 * number + 1))
            door.acts.open.set()
        door.until_nothing_is_held()


@pytest.mark.parametrize("linger", [False, True], ids=["a farewell", "a reset of tcp"])
def test_a_caller_that_hangs_up_leaves_nothing_behind(linger: bool) -> None:
    with stage() as door:
        with Caller(door, (INITIAL_WINDOW_SIZE, 10)) as caller:
            caller.send(call(1, "Hold"), call_head(3), frame(DATA, 0, 3, b"\0\0\0\0\x09part"))
            caller.send(ask_zeros(5, 100_000), call(7, "Watch"))
            until(lambda: door.acts.ran and door.acts.watching and door.unread_bytes > 90_000)
            if linger:
                caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: (door.callers, door.acts.watching) == (0, set()))
        door.acts.open.set()
        door.until_nothing_is_held()


def test_pings_whose_answers_are_not_read_end_the_connection(shared: Stage) -> None:
    with Caller(shared, room_bytes=4096) as caller, Caller(shared) as other:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            pour(caller, itertools.repeat(frame(PING, payload=bytes(8)) * 2000))
        other.send(call(1))
        assert other.answer(1).status == 0
    shared.until_nothing_is_held()


def test_a_request_that_stalls_is_told_so_and_one_that_drips_too() -> None:
    with stage(silence_s=0.2, whole_s=0.9) as door, Caller(door) as stalled, Caller(door) as drips:
        stalled.send(call_head(1), frame(DATA, 0, 1, b"\0\0"), call(3, "Hold"))
        ended = threading.Event()

        def drip() -> None:
            drips.send(call_head(1), frame(DATA, 0, 1, b"\0\0\0\xff\xff"))
            while not ended.wait(0.05):
                drips.send(frame(DATA, 0, 1, b"x"))

        with ThreadPoolExecutor(1) as pool:
            dripping = pool.submit(drip)
            first, second = stalled.answer(1), drips.answer(1)
            ended.set()
            dripping.result()
        assert (first.status, second.status) == (DEADLINE_EXCEEDED, DEADLINE_EXCEEDED)
        assert first.head["grpc-message"] == "the request was not sent whole in time"
        assert door.busy_threads == 1, "a request that is whole may take as long as it does"


def test_talk_may_pause_and_only_half_a_question_is_late() -> None:
    with stage(silence_s=0.2) as door, Caller(door) as caller, Caller(door) as half:
        caller.send(call_head(1, "Talk"), frame(DATA, 0, 1, framed(b"")))
        half.send(call_head(1, "Talk"), frame(DATA, 0, 1, b"\0\0"))
        assert half.answer(1).status == DEADLINE_EXCEEDED
        caller.send(frame(DATA, END_STREAM, 1, framed(b"\n\1x")))
        assert caller.answer(1).body == framed(b"") + framed(b"\n\1x")


@pytest.mark.parametrize("limits", [{"silence_s": 0.3}, {"whole_s": 0.3}])
def test_an_answer_whose_window_never_opens_is_cut(limits: dict[str, float]) -> None:
    with stage(**limits) as door, Caller(door, (INITIAL_WINDOW_SIZE, 5)) as caller:
        caller.send(ask_zeros(1, 100_000))
        ended = caller.next(RST_STREAM)

        assert (ended.stream, ended.code) == (1, CANCEL)
        door.until_nothing_is_held()
        caller.send(call(3, value=b""))
        assert caller.answer(3).status == 0


def test_an_answer_that_is_taken_in_crumbs_has_an_end_too() -> None:
    with stage(whole_s=0.6) as door, Caller(door, (INITIAL_WINDOW_SIZE, 5)) as caller:
        caller.send(ask_zeros(1, 100_000))
        ended = None
        while ended is None:
            caller.send(window(1, 1))
            ended = next((found for found in caller.answered() if found.kind == RST_STREAM), None)
            time.sleep(0.02)
        assert ended.code == CANCEL
        door.until_nothing_is_held()


def test_a_socket_that_takes_nothing_is_cut() -> None:
    with stage(silence_s=0.3) as door, Caller(door, (INITIAL_WINDOW_SIZE, 2**31 - 1)) as caller:
        caller.send(window(0, 2**30), ask_zeros(1, 50_000_000))
        until(lambda: door.unread_bytes > 10_000_000)
        until(lambda: door.callers == 0)
        door.until_nothing_is_held()


@pytest.mark.parametrize("part", [frame(HEADERS, 0, 1, bytes(60_000))[:-1], frame(PING, payload=bytes(8))[:5]])
def test_a_frame_that_is_not_sent_on_is_cut(part: bytes) -> None:
    with stage(silence_s=0.3) as door, Caller(door) as caller:
        caller.send(call(1), part)
        assert caller.answer(1).status == 0
        until(lambda: door.callers == 0)


def test_a_caller_that_says_nothing_at_all_is_cut_and_one_that_waits_is_not() -> None:
    with stage(silence_s=0.2) as door, Caller(door, greet=False) as silent, Caller(door) as waits:
        assert silent.ends()
        waits.send(call(1))
        assert waits.answer(1).status == 0


def test_a_caller_that_asks_and_never_reads_is_not_kept_answers_for() -> None:
    with stage() as door, Caller(door, room_bytes=4096) as caller:
        head = call_head(1, "/no.such/Method", END_HEADERS | END_STREAM)
        calls = (head[:5] + struct.pack(">I", 2 * number + 1) + head[9:] for number in range(10**6))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pour(caller, (b"".join(itertools.islice(calls, 1000)) for _ in range(1000)))
        until(lambda: door.callers == 0)
        door.until_nothing_is_held()


def test_a_port_that_is_taken_leaves_no_socket_behind(tmp_path: Path) -> None:
    with stage() as taken:
        options = GrpcOptions(address="127.0.0.1", port=taken.port, socket_path=tmp_path / "door")
        with pytest.raises(Unavailable, match="cannot listen for gRPC"):
            GrpcDoor(options, taken.acts.services())
    assert not list(tmp_path.iterdir())
