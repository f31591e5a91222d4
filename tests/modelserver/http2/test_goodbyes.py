"""Connections that the server ends: of age, idle, or because it stops; what was under way is answered."""

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.modelserver.http2.callers import (
    NO_ERROR,
    PING,
    REFUSED_STREAM,
    RST_STREAM,
    Caller,
    call,
    frame,
)
from tests.modelserver.http2.doors import stage
from tests.waiting import until

LAST_OF_ALL = 2**31 - 1


def test_a_connection_of_age_says_so_twice_and_answers_what_was_under_way() -> None:
    aged = (("grpc.max_connection_age_ms", 2000),)
    with stage(arguments=aged, last_call_s=0.5) as door, Caller(door) as caller:
        caller.send(call(1, "Hold"))
        first, second = caller.next(7), caller.next(7)
        assert struct.unpack(">II", first.payload) == (LAST_OF_ALL, NO_ERROR)
        assert struct.unpack(">II", second.payload) == (1, NO_ERROR)
        caller.send(call(3, "Hold", b"too late"))
        refused = caller.next(RST_STREAM)
        assert (refused.stream, refused.code) == (3, REFUSED_STREAM)

        door.acts.open.set()
        assert caller.answer(1).status == 0
        with pytest.raises(EOFError):
            caller.frame()
        assert door.acts.ran == [b"x"]


def test_a_request_between_the_two_is_answered() -> None:
    with stage(arguments=(("grpc.max_connection_age_ms", 1),), last_call_s=20) as door, Caller(door) as caller:
        caller.next(7)
        caller.send(call(1))

        assert caller.answer(1).status == 0


def test_after_its_grace_a_call_of_an_aged_connection_is_cut_off() -> None:
    limits = (("grpc.max_connection_age_ms", 2000), ("grpc.max_connection_age_grace_ms", 200))
    with stage(arguments=limits) as door, Caller(door) as caller:
        caller.send(call(1, "Hold"))
        assert caller.goaway().code == NO_ERROR
        until(lambda: door.streams == 0)


def test_a_connection_without_calls_is_closed_whatever_it_pings_and_a_busy_one_is_not() -> None:
    with stage(arguments=(("grpc.max_connection_idle_ms", 300),)) as door, Caller(door) as busy, Caller(door) as idle:
        busy.send(call(1, "Hold"))
        ended = threading.Event()

        def pings() -> None:
            try:
                while not ended.wait(0.05):
                    idle.send(frame(PING, payload=bytes(8)))
            except OSError:
                pass

        with ThreadPoolExecutor(1) as pool:
            pinging = pool.submit(pings)
            assert idle.goaway().code == NO_ERROR
            ended.set()
            pinging.result()
        door.acts.open.set()
        assert busy.answer(1).status == 0


def test_under_load_no_call_of_a_channel_fails_while_its_connections_age() -> None:
    limits = (("grpc.max_connection_age_ms", 50), ("grpc.max_connection_age_grace_ms", 5000))
    seen: set[Any] = set()
    with stage(arguments=limits) as door, grpc.insecure_channel(f"127.0.0.1:{door.port}") as channel:
        echo: Any = channel.unary_unary("/test.Acts/Echo")

        def ask(_: int) -> bytes:
            answer: bytes = echo(b"\n\1x", timeout=20)
            seen.update(list(door.door._listener._peers))
            return answer

        with ThreadPoolExecutor(4) as pool:
            while len(seen) < 3:
                assert set(pool.map(ask, range(200))) == {b"\n\1x"}


def test_a_stop_answers_what_is_under_way_and_takes_nothing_new() -> None:
    with stage() as door, Caller(door) as caller, ThreadPoolExecutor(1) as pool:
        caller.send(call(1, "Hold"))
        until(lambda: door.acts.ran)
        stopping = pool.submit(door.door.stop, 20)
        assert caller.next(7).payload[:4] == struct.pack(">I", LAST_OF_ALL)
        assert caller.next(7).payload[:4] == struct.pack(">I", 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", door.port))
        caller.send(call(3, "Hold", b"new"))
        assert caller.next(RST_STREAM).code == REFUSED_STREAM
        door.acts.open.set()

        assert caller.answer(1).status == 0
        caller.socket.close()
        stopping.result(10)
        assert door.acts.ran == [b"x"]


def test_at_the_end_of_its_grace_a_stop_cuts_off_whoever_is_left() -> None:
    with stage() as door, Caller(door) as caller:
        caller.send(call(1, "Hold"))
        until(lambda: door.acts.ran)
        door.door.stop(0.2)

        assert caller.goaway().code == NO_ERROR
        assert door.streams == 0
