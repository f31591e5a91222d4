"""Rules of RFC 9113 whose breach ends the connection with a GOAWAY of the right code, and hurts nobody else."""

import struct

import pytest

from tests.modelserver.http2.callers import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Caller,
    call,
    call_head,
    frame,
    literals,
    request_fields,
    settings,
    window,
)
from tests.modelserver.http2.doors import Stage

ENABLE_PUSH = 2
BLOCK = literals(*request_fields().items())
OPEN = call_head(1)
BEGUN = frame(HEADERS, 0, 1, BLOCK)

BREACHES: dict[str, tuple[bytes, int]] = {
    "4.2 data larger than announced": (OPEN + frame(DATA, 0, 1, bytes((1 << 20) + 1)), FRAME_SIZE_ERROR),
    "4.2 headers larger than any": (frame(HEADERS, END_HEADERS, 1, bytes((1 << 20) + 1)), FRAME_SIZE_ERROR),
    "4.3 no hpack": (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "4.3 an index that is not there": (frame(HEADERS, END_HEADERS, 1, b"\xfe"), COMPRESSION_ERROR),
    "4.3 a table larger than allowed": (frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\xff\x03" + BLOCK), COMPRESSION_ERROR),
    "4.3 a table whose size changes on and on": (frame(HEADERS, 4, 1, b"\x20" * 3 + BLOCK), COMPRESSION_ERROR),
    "4.3 no hpack in trailers": (OPEN + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xfe"), COMPRESSION_ERROR),
    "4.3 a priority inside headers": (BEGUN + frame(PRIORITY, 0, 1, bytes(5)), PROTOCOL_ERROR),
    "4.3 a ping inside headers": (BEGUN + frame(PING, payload=bytes(8)), PROTOCOL_ERROR),
    "4.3 an unknown frame inside headers": (BEGUN + frame(99), PROTOCOL_ERROR),
    "4.3 headers of another stream inside headers": (BEGUN + call_head(3), PROTOCOL_ERROR),
    "4.3 data inside headers": (BEGUN + frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
    "5.1 data on an idle stream": (frame(DATA, END_STREAM, 1, b"x"), PROTOCOL_ERROR),
    "5.1 reset of an idle stream": (frame(RST_STREAM, 0, 1, bytes(4)), PROTOCOL_ERROR),
    "5.1 window of an idle stream": (window(1, 100), PROTOCOL_ERROR),
    "5.1 continuation on an idle stream": (frame(CONTINUATION, END_HEADERS, 1, BLOCK), PROTOCOL_ERROR),
    "5.1 data on an idle stream of even number": (OPEN + call_head(5) + frame(DATA, 0, 2, b"x"), PROTOCOL_ERROR),
    "5.1 reset of an idle stream of even number": (call_head(5) + frame(RST_STREAM, 0, 2, bytes(4)), PROTOCOL_ERROR),
    "5.1.1 an even number": (call_head(2), PROTOCOL_ERROR),
    "6.1 data on stream 0": (OPEN + frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    "6.1 as much padding as data": (OPEN + frame(DATA, PADDED, 1, b"\x05hell"), PROTOCOL_ERROR),
    "6.1 padding without its length": (OPEN + frame(DATA, PADDED, 1), PROTOCOL_ERROR),
    "6.2 headers on stream 0": (call_head(0), PROTOCOL_ERROR),
    "6.2 more padding than headers": (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK[:99]), PROTOCOL_ERROR),
    "6.2 priority cut short": (frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\0\0\0"), FRAME_SIZE_ERROR),
    "6.3 priority on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR),
    "6.3 priority of four bytes": (frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR),
    "6.4 reset on stream 0": (frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL_ERROR),
    "6.4 reset of three bytes": (OPEN + frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "6.5 settings acknowledged with bytes": (frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "6.5 settings on a stream": (OPEN + frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "6.5 settings of seven bytes": (frame(SETTINGS, payload=bytes(7)), FRAME_SIZE_ERROR),
    "6.5.2 push is no number": (settings((ENABLE_PUSH, 2)), PROTOCOL_ERROR),
    "6.5.2 a window of 2^31": (settings((INITIAL_WINDOW_SIZE, 1 << 31)), FLOW_CONTROL_ERROR),
    "6.5.2 frames too small": (settings((MAX_FRAME_SIZE, 16_383)), PROTOCOL_ERROR),
    "6.5.2 frames too large": (settings((MAX_FRAME_SIZE, 1 << 24)), PROTOCOL_ERROR),
    "6.6 a push": (OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + BLOCK), PROTOCOL_ERROR),
    "6.7 ping on a stream": (OPEN + frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.7 ping of six bytes": (frame(PING, payload=bytes(6)), FRAME_SIZE_ERROR),
    "6.8 goaway on a stream": (OPEN + frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.9 a window grows by nothing": (window(0, 0), PROTOCOL_ERROR),
    "6.9 a stream's window grows by nothing": (OPEN + window(1, 0), PROTOCOL_ERROR),
    "6.9 window of three bytes": (frame(WINDOW_UPDATE, payload=bytes(3)), FRAME_SIZE_ERROR),
    "6.9.1 a window over 2^31 - 1": (window(0, 2**31 - 1) * 2, FLOW_CONTROL_ERROR),
    "6.9.1 a stream's window over 2^31 - 1": (OPEN + window(1, 2**31 - 1) * 2, FLOW_CONTROL_ERROR),
    "6.9.2 settings take a stream's window over 2^31 - 1": (
        OPEN + window(1, 2**31 - 1 - 65_535) + settings((INITIAL_WINDOW_SIZE, 65_536)),
        FLOW_CONTROL_ERROR,
    ),
    "6.10 continuation of complete headers": (OPEN + frame(CONTINUATION, END_HEADERS, 1, BLOCK), PROTOCOL_ERROR),
    "6.10 continuation on stream 0": (BEGUN + frame(CONTINUATION, END_HEADERS, 0, BLOCK), PROTOCOL_ERROR),
    "6.10 continuation of another stream": (BEGUN + frame(CONTINUATION, END_HEADERS, 3, BLOCK), PROTOCOL_ERROR),
    "6.10 continuation after data": (OPEN + frame(DATA, 0, 1, b"") + frame(CONTINUATION, 4, 1, b""), PROTOCOL_ERROR),
    "6.10 headers without end": (
        BEGUN + frame(CONTINUATION, 0, 1, literals(("a", "b" * 16_000))) * 9,
        ENHANCE_YOUR_CALM,
    ),
    "10.5 far more headers than are taken": (
        frame(HEADERS, 0, 1, BLOCK + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000)
        + frame(CONTINUATION, END_HEADERS, 1, b"\xbe" * 40),
        ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize(("sent", "code"), BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_of_the_connection_ends_it_with_its_code(shared: Stage, sent: bytes, code: int) -> None:
    with Caller(shared) as caller, Caller(shared) as other:
        caller.send(sent)
        ended = caller.goaway()
        other.send(call(1, value=b"still here"))

        assert (ended.code, bool(ended.payload[8:])) == (code, True)
        assert other.answer(1).body.endswith(b"still here")
    shared.until_nothing_is_held()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http 1"),
        pytest.param(PREFACE[:-1] + b"x", id="a preface that is wrong at its end"),
        pytest.param(b"\x16\x03\x01\x02\x00", id="tls"),
        pytest.param(PREFACE + frame(PING, payload=bytes(8)), id="a ping before settings"),
        pytest.param(PREFACE + OPEN, id="a request before settings"),
        pytest.param(PREFACE + frame(DATA, 0, 1, b"x"), id="data before settings"),
        pytest.param(PREFACE + frame(SETTINGS, ACK) + frame(PING, payload=bytes(8)), id="thanks before settings"),
    ],
)
def test_a_wrong_beginning_is_told_and_ended(shared: Stage, sent: bytes) -> None:
    with Caller(shared, greet=False) as caller:
        caller.send(sent)

        assert caller.goaway().code == PROTOCOL_ERROR


def test_the_last_stream_of_a_goaway_is_the_highest_that_was_opened(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call_head(7), call_head(9), frame(PUSH_PROMISE, 0, 9, bytes(4)))

        assert struct.unpack(">I", caller.goaway().payload[:4]) == (9,)
    shared.until_nothing_is_held()
