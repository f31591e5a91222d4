"""Flow control both ways: nobody is sent more than was granted, and nobody may send more."""

import socket
from collections.abc import Iterator
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from serving.modelserver.http2.outbound import Outbound
from serving.modelserver.http2.stream import Stream
from tests.modelserver.http2.callers import (
    DATA,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    WINDOW_UPDATE,
    Caller,
    call,
    call_head,
    frame,
    framed,
    request_fields,
    settings,
    window,
)
from tests.modelserver.http2.doors import Stage, stage
from tests.waiting import until

MEGABYTES_30 = 30_000_000


def zeros(count: int) -> bytes:
    """A google.protobuf.Int64Value, framed: how many zeros are wanted."""
    digits = bytearray()
    while count >= 128:
        digits.append(count % 128 + 128)
        count //= 128
    return framed(b"\x08" + bytes((*digits, count)))


def ask_zeros(stream: int, count: int, method: str = "Zeros") -> bytes:
    return call_head(stream, method) + frame(DATA, END_STREAM, stream, zeros(count))


class Plain:
    """A caller by the library h2, which faults the server for every byte beyond a window."""

    def __init__(self, port: int, window_bytes: int) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        codes = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(True, {codes.INITIAL_WINDOW_SIZE: window_bytes})
        self.h2.initiate_connection()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, count: int) -> int:
        stream: int = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, list(request_fields("Zeros").items()))
        self.h2.send_data(stream, zeros(count), end_stream=True)
        self.flush()
        return stream

    def events(self) -> Iterator[h2.events.Event]:
        """Until the server has nothing to say for the moment that this caller waits for."""
        while part := self.socket.recv(65536):
            yield from self.h2.receive_data(part)
            self.flush()


@pytest.mark.parametrize("window_bytes", [1, 7, 1000, 65_535, 2**31 - 1])
def test_an_answer_comes_whole_through_windows_of_any_size(shared: Stage, window_bytes: int) -> None:
    caller, size, came = Plain(shared.port, window_bytes), min(100_000, 500 * window_bytes), 0
    with caller.socket:
        stream = caller.ask(size)
        for event in caller.events():
            if isinstance(event, h2.events.DataReceived):
                came += len(event.data)
                caller.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                caller.flush()
            if isinstance(event, h2.events.StreamEnded):
                break

    assert came > size


def test_answers_of_many_streams_take_turns(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 200_000)) as caller:
        caller.send(*(ask_zeros(2 * number + 1, 100_000) for number in range(8)))
        until(lambda: shared.unread_bytes > 700_000)
        caller.send(window(0, 1 << 20))
        order: list[int] = []
        ends = 0
        while ends < 8:
            found = caller.frame()
            order += [found.stream] if found.kind == DATA else []
            ends += found.kind == HEADERS and bool(found.flags & END_STREAM)

    late = order[order.index(order[-1]) :]
    assert len(set(late[:40])) == 8, "one stream after the other"
    shared.until_nothing_is_held()


def test_a_window_of_nothing_holds_up_the_data_and_neither_the_head_nor_other_callers(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 0)) as caller, Caller(shared) as other:
        caller.send(ask_zeros(1, 10), call(3, "Fail"))
        assert {caller.next(HEADERS).stream, caller.next(HEADERS).stream} == {1, 3}
        other.send(call(1))
        assert other.answer(1).status == 0
        until(lambda: shared.unread_bytes == 17)
        assert DATA not in {found.kind for found in caller.answered()}

        caller.send(window(1, 5))
        assert caller.next(DATA).payload == bytes((0, 0, 0, 0, 12))
        caller.send(window(1, 100))
        assert caller.next(DATA).payload == b"\n\n" + bytes(10)
        assert caller.next(HEADERS).flags & END_STREAM
    shared.until_nothing_is_held()


def test_settings_move_the_windows_of_answers_under_way_below_nothing_too(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 20)) as caller:
        caller.send(ask_zeros(1, 100))
        assert len(caller.next(DATA).payload) == 20
        caller.send(settings((INITIAL_WINDOW_SIZE, 5)), window(1, 10))
        assert DATA not in {found.kind for found in caller.answered()}, "its window is 5 - 20 + 10"
        caller.send(window(1, 6))
        assert len(caller.next(DATA).payload) == 1
        caller.send(settings((INITIAL_WINDOW_SIZE, 105)))
        assert len(caller.next(DATA).payload) == 107 - 21
        assert caller.next(HEADERS).flags & END_STREAM


def test_a_window_of_the_connection_is_shared_by_its_streams(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 1 << 20)) as caller:
        caller.send(ask_zeros(1, 60_000), ask_zeros(3, 60_000))
        came = 0
        while came < 65_535:
            found = caller.frame()
            came += len(found.payload) if found.kind == DATA else 0
        assert came == 65_535
        caller.send(call(5))
        assert DATA not in {found.kind for found in caller.answered()}
        caller.send(window(0, 1 << 20))
        assert caller.answer(5).status == 0


def test_frames_are_no_larger_than_the_caller_takes(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 1 << 24)) as caller:
        caller.send(window(0, 1 << 24), ask_zeros(1, 100_000))
        sizes = [len(caller.next(DATA).payload) for _ in range(7)]
        caller.send(settings((MAX_FRAME_SIZE, 50_000)), ask_zeros(3, 100_000))
        larger = [len(caller.next(DATA).payload) for _ in range(3)]

    assert sizes == [16_384] * 6 + [100_009 - 6 * 16_384]
    assert larger == [50_000, 50_000, 9]


def test_a_window_is_granted_again_as_it_is_used(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call_head(1), frame(DATA, 0, 1, b"\0\0\x7f\xff\xff" + bytes(1 << 19)))
        assert int.from_bytes(caller.next(WINDOW_UPDATE, 1).payload, "big") == (1 << 19) + 5
        caller.send(frame(DATA, 0, 1, bytes(1 << 20)))

        assert int.from_bytes(caller.next(WINDOW_UPDATE, 1).payload, "big") == 1 << 20
    shared.until_nothing_is_held()


def test_data_of_more_than_a_window_is_a_fault(shared: Stage) -> None:
    half = bytes(1 << 19)
    with Caller(shared) as caller:
        caller.send(call_head(1), frame(DATA, 0, 1, b"\0\0\x7f\xff\xff" + half[5:]), frame(DATA, 0, 1, half + b"x"))

        assert caller.goaway().code == FLOW_CONTROL_ERROR
    shared.until_nothing_is_held()


def test_data_for_a_stream_that_is_over_counts_against_the_connection_and_is_granted_again(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call(1))
        caller.answer(1)
        for _ in range(20):
            caller.send(frame(DATA, 0, 1, bytes(1 << 20)))

        assert int.from_bytes(caller.next(WINDOW_UPDATE, 0).payload, "big") > 1 << 22
        caller.send(call(3))
        assert caller.answer(3).status == 0


def test_a_large_answer_to_a_slow_reader_holds_up_nobody(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 2**31 - 1)) as slow, Caller(shared) as other:
        slow.send(window(0, 2**30), ask_zeros(1, MEGABYTES_30))
        until(lambda: shared.unread_bytes > MEGABYTES_30 // 2)
        for stream in range(1, 41, 2):
            other.send(call(stream))
            assert other.answer(stream).status == 0
        slow.send(call(3, value=b"beside it"))
        came, small, ends = 0, b"", 0
        while ends < 2:
            found = slow.frame()
            ends += found.kind == HEADERS and bool(found.flags & END_STREAM)
            if found.kind == DATA and found.stream == 3:
                small, before = found.payload, came
            came += len(found.payload) if found.kind == DATA and found.stream == 1 else 0

        assert small.endswith(b"beside it")
        assert before < came == MEGABYTES_30 + 10
    shared.until_nothing_is_held()


def test_windows_opened_by_one_byte_cost_no_look_at_every_answer_that_waits() -> None:
    with stage(most_calls=8) as door, Caller(door, (INITIAL_WINDOW_SIZE, 0)) as caller:
        for number in range(4000):
            caller.send(call(2 * number + 1, "AtOnce"))
        caller.answered()
        assert door.streams == 4000
        caller.send(window(0, 1) * 10_000)

        assert caller.answered() == [], "a look at each would take minutes"


class Endless:
    """A socket that takes whatever it is given."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, data: bytes) -> int:
        self.sent += len(data)
        return len(data)


def test_a_large_answer_goes_out_in_turns_however_fast_it_is_taken() -> None:
    taker, asked = Endless(), [False]
    out = Outbound(cast(socket.socket, taker), asked.append)
    out.change_first_window(2**31 - 1)
    out.grant(None, 2**30)
    out.streams[1] = stream = Stream(1, out, 0)
    stream.send(data=(bytes(5), bytes(5_000_000)), trailers=b"")
    turns = [taker.sent]
    while asked[-1]:
        out.resume()
        turns.append(taker.sent - sum(turns))

    assert len(turns) == 5
    assert max(turns) < 1_200_000
    assert (stream.closed, stream.waiting) == (True, 0)
