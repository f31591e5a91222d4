"""Rules of RFC 9113 whose breach ends one stream, and what no rule forbids; the connection goes on."""

import struct

import pytest

from tests.modelserver.http2.callers import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WITH_PRIORITY,
    Caller,
    bytes_value,
    call,
    call_head,
    frame,
    framed,
    literals,
    request_fields,
    settings,
    window,
)
from tests.modelserver.http2.doors import Stage, stage
from tests.waiting import until

FIELDS = list(request_fields().items())
BODY = frame(DATA, END_STREAM, 1, framed(bytes_value(b"x")))
LAST = END_HEADERS | END_STREAM


def request_of(*fields: tuple[str, str]) -> bytes:
    return frame(HEADERS, END_HEADERS, 1, literals(*fields))


MALFORMED: dict[str, tuple[bytes, int]] = {
    "8.2.1 a name in upper case": (request_of(*FIELDS, ("X-Test", "x")), PROTOCOL_ERROR),
    "8.2.1 a name with a blank": (request_of(*FIELDS, ("x test", "x")), PROTOCOL_ERROR),
    "8.2.1 a name of nothing": (request_of(*FIELDS, ("", "x")), PROTOCOL_ERROR),
    "8.2.1 a value of two lines": (request_of(*FIELDS, ("x", "a\r\nb: c")), PROTOCOL_ERROR),
    "8.2.1 a value with a zero": (request_of(*FIELDS, ("x", "a\0")), PROTOCOL_ERROR),
    "8.2.2 connection": (request_of(*FIELDS, ("connection", "keep-alive")), PROTOCOL_ERROR),
    "8.2.2 transfer-encoding": (request_of(*FIELDS, ("transfer-encoding", "chunked")), PROTOCOL_ERROR),
    "8.2.2 te of more than trailers": (call_head(1, te="trailers, deflate"), PROTOCOL_ERROR),
    "8.3 a pseudo-header behind others": (request_of(*FIELDS[1:], FIELDS[0]), PROTOCOL_ERROR),
    "8.3 a pseudo-header twice": (request_of(FIELDS[2], *FIELDS), PROTOCOL_ERROR),
    "8.3 an unknown pseudo-header": (request_of((":test", "x"), *FIELDS), PROTOCOL_ERROR),
    "8.3 a pseudo-header of answers": (request_of((":status", "200"), *FIELDS), PROTOCOL_ERROR),
    "8.3.1 no method": (request_of(*FIELDS[1:]), PROTOCOL_ERROR),
    "8.3.1 no scheme": (request_of(FIELDS[0], *FIELDS[2:]), PROTOCOL_ERROR),
    "8.3.1 no path": (request_of(*FIELDS[:2], *FIELDS[3:]), PROTOCOL_ERROR),
    "8.3.1 an empty path": (call_head(1, ""), PROTOCOL_ERROR),
    "8.3 a pseudo-header in trailers": (
        call_head(1) + frame(HEADERS, LAST, 1, literals((":path", "/x"))),
        PROTOCOL_ERROR,
    ),
    "8.1 trailers that do not end the request": (
        call_head(1) + frame(HEADERS, END_HEADERS, 1, literals(("x", "y"))),
        PROTOCOL_ERROR,
    ),
    "8.1.1 a length that is none": (call_head(1, content_length="-8"), PROTOCOL_ERROR),
    "8.1.1 two lengths": (request_of(*FIELDS, *[("content-length", "8")] * 2), PROTOCOL_ERROR),
    "8.1.1 a length of thousands of digits": (call_head(1, content_length="9" * 5000), PROTOCOL_ERROR),
    "8.1.1 less data than its length": (call_head(1, content_length="9") + BODY, PROTOCOL_ERROR),
    "8.1.1 more data than its length": (call_head(1, content_length="7") + BODY, PROTOCOL_ERROR),
    "8.1.1 a length and no data": (call_head(1, flags=LAST, content_length="1"), PROTOCOL_ERROR),
    "5.1 data behind the end": (call(1, "Hold") + BODY, STREAM_CLOSED),
    "5.1 headers behind the end": (call(1, "Hold") + frame(HEADERS, LAST, 1, literals(("x", "y"))), STREAM_CLOSED),
}


@pytest.mark.parametrize(("sent", "code"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_breach_of_a_stream_ends_it_with_its_code_and_the_next_is_answered(
    shared: Stage, sent: bytes, code: int
) -> None:
    with Caller(shared) as caller:
        caller.send(sent, call(3))
        ended = caller.next(RST_STREAM)

        assert (ended.stream, ended.code) == (1, code)
        assert (caller.answer(3).status, caller.answered()) == (0, [])
        shared.acts.open.set()
    shared.until_nothing_is_held()


def test_more_streams_than_allowed_are_refused_until_one_ends(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(*(call_head(2 * number + 1) for number in range(4096)), call(9001))

        ended = caller.next(RST_STREAM)
        assert (ended.stream, ended.code) == (9001, REFUSED_STREAM)
        caller.send(frame(RST_STREAM, 0, 5, bytes(4)), call(9003))
        assert caller.answer(9003).status == 0
    shared.until_nothing_is_held()


def test_the_limits_are_announced_with_the_first_frame(shared: Stage) -> None:
    with Caller(shared) as caller:
        first = caller.frame()

    assert (first.kind, first.flags) == (SETTINGS, 0)
    assert dict(struct.iter_unpack(">HI", first.payload)) == {3: 4096, 4: 1 << 20, 5: 1 << 20, 6: 16_384}


def test_a_request_on_a_lower_stream_than_the_last_is_not_run(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call(5))
        caller.answer(5)
        caller.send(call(3, "Hold", b"too low"))

        assert caller.answered() == []
        assert b"too low" not in shared.acts.ran


PASSED_OVER: dict[str, bytes] = {
    "4.1 an unknown kind of frame": frame(99, 255, 7, b"anything"),
    "4.1 unknown flags": frame(PING, 0xFE, 0, b"unknown!"),
    "4.1 the reserved bit": frame(SETTINGS, 0, 1 << 31),
    "5.1 priority of an idle stream": frame(PRIORITY, 0, 77, bytes(5)),
    "5.1 window of a stream that is over": call(3) + frame(RST_STREAM, 0, 3, bytes(4)) + window(3, 5),
    "5.1 reset of a stream that is over": call(3) + frame(RST_STREAM, 0, 3, bytes(4)) * 2,
    "5.1 data of a stream that is over": call_head(3) + frame(RST_STREAM, 0, 3, bytes(4)) + frame(DATA, 0, 3, b"late"),
    "5.1 trailers of a stream that is over": call_head(3)
    + frame(RST_STREAM, 0, 3, bytes(4))
    + frame(HEADERS, LAST, 3, literals(("late", "x"))),
    "6.5 unknown settings": settings((99, 1), (0, 0)),
    "6.5 the table of headers": settings((1, 0), (1, 4096)),
    "6.5 thanks for settings": frame(SETTINGS, ACK),
    "6.7 thanks for a ping that was not sent": frame(PING, ACK, 0, bytes(8)),
    "6.8 a goaway": frame(GOAWAY, 0, 0, bytes(8) + b"leaving soon"),
}


@pytest.mark.parametrize("sent", PASSED_OVER.values(), ids=PASSED_OVER.keys())
def test_what_no_rule_forbids_is_passed_over(shared: Stage, sent: bytes) -> None:
    with Caller(shared) as caller:
        caller.send(sent, call(101))

        assert caller.answer(101).status == 0
        assert not [found for found in caller.answered() if found.kind in (RST_STREAM, GOAWAY)]
    shared.until_nothing_is_held()


BLOCK = literals(*FIELDS)
MESSAGE = framed(bytes_value(b"x"))
WAYS: dict[str, bytes] = {
    "padded headers": frame(HEADERS, END_HEADERS | PADDED, 1, b"\3" + BLOCK + bytes(3)) + BODY,
    "headers padded by nothing": frame(HEADERS, END_HEADERS | PADDED, 1, b"\0" + BLOCK) + BODY,
    "headers with a priority": frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, bytes(5) + BLOCK) + BODY,
    "headers with both": frame(HEADERS, END_HEADERS | WITH_PRIORITY | PADDED, 1, b"\2" + bytes(5) + BLOCK + bytes(2))
    + BODY,
    "headers byte by byte": frame(HEADERS, 0, 1)
    + b"".join(frame(CONTINUATION, 0, 1, BLOCK[place : place + 1]) for place in range(len(BLOCK)))
    + frame(CONTINUATION, END_HEADERS, 1)
    + BODY,
    "padded data": call_head(1) + frame(DATA, PADDED | END_STREAM, 1, b"\7" + MESSAGE + bytes(7)),
    "data that is all padding": call_head(1) + frame(DATA, PADDED, 1, b"\7" + bytes(7)) + BODY,
    "data padded by nothing": call_head(1) + frame(DATA, PADDED | END_STREAM, 1, b"\0" + MESSAGE),
    "data byte by byte": call_head(1)
    + b"".join(frame(DATA, 0, 1, MESSAGE[place : place + 1]) for place in range(len(MESSAGE)))
    + frame(DATA, END_STREAM, 1),
    "data padded byte by byte": call_head(1)
    + b"".join(frame(DATA, PADDED, 1, b"\2" + MESSAGE[place : place + 1] + bytes(2)) for place in range(len(MESSAGE)))
    + frame(DATA, PADDED | END_STREAM, 1, b"\0"),
    "empty data before and behind": call_head(1) + frame(DATA, 0, 1) + frame(DATA, 0, 1, MESSAGE) + frame(DATA, 1, 1),
    "trailers": call_head(1) + frame(DATA, 0, 1, MESSAGE) + frame(HEADERS, LAST, 1, literals(("x-late", "y"))),
    "trailers of nothing": call_head(1) + frame(DATA, 0, 1, MESSAGE) + frame(HEADERS, LAST, 1),
    "its length": call_head(1, content_length=str(len(MESSAGE))) + BODY,
    "a table that shrinks first": frame(HEADERS, END_HEADERS, 1, b"\x20" + BLOCK) + BODY,
}


@pytest.mark.parametrize("sent", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("piece", [1, 1 << 20], ids=["byte by byte", "at once"])
def test_every_way_to_send_a_request_is_answered(shared: Stage, sent: bytes, piece: int) -> None:
    with Caller(shared) as caller:
        for place in range(0, len(sent), piece):
            caller.send(sent[place : place + piece])

        assert caller.answer(1).message == bytes_value(b"x")


def test_an_answer_before_the_end_of_its_request_asks_for_no_more_of_it() -> None:
    with stage() as door, Caller(door) as caller:
        caller.send(call_head(1, "/no.such/Method"), frame(DATA, 0, 1, b"part of a"))
        assert caller.answer(1).status == 12
        ended = caller.next(RST_STREAM)

        assert (ended.stream, ended.code) == (1, NO_ERROR)
        caller.send(frame(DATA, END_STREAM, 1, b"message"), call(3))
        assert caller.answer(3).status == 0
        until(lambda: door.held_bytes == 0)
