"""Callers who send what costs the server more than themselves: each is told to calm down, or costs nothing."""

import pytest

from tests.modelserver.http2.callers import (
    CONTINUATION,
    DATA,
    ENHANCE_YOUR_CALM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
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

MANY = 60_000
CANCEL = bytes((0, 0, 0, 8))


def resets(count: int) -> bytes:
    return b"".join(call(2 * n + 1, "Hold") + frame(RST_STREAM, 0, 2 * n + 1, CANCEL) for n in range(count))


MANY_HEADERS = literals(*request_fields("Hold").items(), *((f"x{number}", "") for number in range(400)))
FLOODS: dict[str, bytes] = {
    "rapid reset": resets(30_000),
    "resets of one stream": call_head(1) + frame(RST_STREAM, 0, 1, CANCEL) * MANY,
    "pings": frame(PING, payload=bytes(8)) * MANY,
    "thanks for pings": frame(PING, 1, 0, bytes(8)) * MANY,
    "settings": frame(SETTINGS) * MANY,
    "a window in many settings": settings(*[(INITIAL_WINDOW_SIZE, number) for number in range(5000)]) * 20,
    "priorities": frame(PRIORITY, 0, 1, bytes(5)) * MANY,
    "unknown frames": frame(99) * MANY,
    "windows": call_head(1) + window(0, 1) * MANY,
    "crumbs of data": call_head(1) + frame(DATA, 0, 1, b"\0") * MANY,
    "data behind the answer": call(1) + frame(DATA, 0, 1, b"\0") * MANY,
    "hundreds of headers": b"".join(frame(HEADERS, 5, 2 * n + 1, MANY_HEADERS) for n in range(1000)),
    "too many headers": b"".join(call(2 * n + 1, x="y" * 20_000) for n in range(100)),
    "empty data": call_head(1) + frame(DATA, 0, 1) * MANY,
    "empty continuations": frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * MANY,
    "trailers behind the end": call(1) + frame(HEADERS, 5, 1, literals(("x", "y"))) * MANY,
    "malformed requests": b"".join(frame(HEADERS, 5, 2 * n + 1, literals(("x", "y"))) for n in range(MANY)),
}


def poured(caller: Caller, flood: bytes) -> None:
    """Sent until it is not taken any more."""
    try:
        caller.send(flood)
    except (BrokenPipeError, ConnectionResetError):
        return


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_ends_with_its_connection_and_others_are_served(shared: Stage, flood: bytes) -> None:
    with Caller(shared) as caller, Caller(shared) as other:
        poured(caller, flood)
        code = caller.goaway().code
        other.send(call(1))

        assert (code, other.answer(1).status) == (ENHANCE_YOUR_CALM, 0)
        shared.acts.open.set()
    shared.until_nothing_is_held()
