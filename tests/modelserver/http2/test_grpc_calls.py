"""gRPC's own rules: times, encodings, messages, statuses."""

import time
import zlib
from typing import Any

import grpc
import pytest

from serving.errors import DeadlineExceeded
from serving.modelserver.server import ModelServer
from tests.modelserver.asking import predict_request
from tests.modelserver.http2.callers import (
    DATA,
    END_HEADERS,
    END_STREAM,
    INITIAL_WINDOW_SIZE,
    Answer,
    Caller,
    bytes_value,
    call,
    call_head,
    frame,
    framed,
    window,
)
from tests.modelserver.http2.doors import Stage, stage
from tests.modelserver.test_hostile import PREDICT
from tests.waiting import until

INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 4, 5, 8, 12, 13
ONE = bytes_value(b"one")


def answer_to(door: Stage, *frames: bytes) -> Answer:
    with Caller(door) as caller:
        caller.send(*frames)
        return caller.answer(1)


def asked(door: Stage, body: bytes, method: str = "Echo", **headers: Any) -> Answer:
    """The answer to a call with this body."""
    return answer_to(door, call_head(1, method, **headers), frame(DATA, END_STREAM, 1, body))


def test_an_answer_is_head_message_and_trailers(shared: Stage) -> None:
    assert asked(shared, framed(ONE)) == Answer(
        {":status": "200", "content-type": "application/grpc"}, framed(ONE), {"grpc-status": "0"}
    )


@pytest.mark.parametrize("timeout", ["20S", "1H", "10M", "99999999H", "90000m", "99999999u"])
def test_every_form_of_a_timeout_becomes_a_deadline(timeout: str) -> None:
    with stage() as door:
        door.acts.open.set()
        began = time.monotonic()
        assert asked(door, framed(ONE), "Hold", grpc_timeout=timeout).status == 0

        (deadline,) = door.acts.deadlines
        assert deadline is not None
        seconds = int(timeout[:-1]) * {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6}[timeout[-1]]
        assert began + min(seconds, 1e9) <= deadline <= time.monotonic() + seconds


@pytest.mark.parametrize("timeout", ["", "S", "20", "-1S", "1.5S", "123456789S", "20s", "20 S", "20S,20S", "\xb2S"])
def test_a_timeout_that_is_none_is_refused(shared: Stage, timeout: str) -> None:
    answer = asked(shared, framed(ONE), grpc_timeout=timeout)

    assert answer.status == INVALID_ARGUMENT
    assert "grpc-timeout is one to eight digits" in answer.head["grpc-message"]


@pytest.mark.parametrize("method", ["Echo", "AtOnce", "Talk", "Watch"])
def test_a_timeout_that_is_none_harms_no_other_call(shared: Stage, method: str) -> None:
    with Caller(shared) as caller:
        caller.send(call(1, "Hold"), call_head(3, method, grpc_timeout="soon"))

        assert caller.answer(3).status == INVALID_ARGUMENT
        shared.acts.open.set()
        assert caller.answer(1).status == 0
        shared.until_nothing_is_held()


@pytest.mark.parametrize("timeout", ["0S", "1n"])
def test_a_call_whose_deadline_has_passed_is_not_run(timeout: str) -> None:
    with stage() as door:
        assert asked(door, framed(ONE), "Hold", grpc_timeout=timeout).status == DEADLINE_EXCEEDED
        assert door.acts.ran == []


def test_the_longest_timeout_is_no_error_of_the_model(stand_in_server: ModelServer) -> None:
    request = predict_request("doubler", {"x": [1.0]}).SerializeToString()
    assert stand_in_server.grpc_port
    with Caller(stand_in_server.grpc_port) as caller:
        caller.send(call_head(1, PREDICT, grpc_timeout="99999999H"), frame(DATA, END_STREAM, 1, framed(request)))

        assert caller.answer(1).status == 0


@pytest.mark.parametrize(("encoding", "bits"), [("gzip", 31), ("deflate", 15)])
def test_compressed_requests_are_unpacked(shared: Stage, encoding: str, bits: int) -> None:
    pack = zlib.compressobj(wbits=bits)
    body = framed(pack.compress(ONE) + pack.flush(), 1)

    assert asked(shared, body, grpc_encoding=encoding).message == ONE
    assert asked(shared, framed(ONE), grpc_encoding=encoding).message == ONE
    cut = body[:1] + (len(body) - 9).to_bytes(4, "big") + body[5:-4]
    assert asked(shared, cut, grpc_encoding=encoding).status == INTERNAL
    assert asked(shared, framed(b"nothing packed", 1), grpc_encoding=encoding).status == INTERNAL


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_channel_that_compresses_is_answered(shared: Stage, algorithm: grpc.Compression) -> None:
    message = b"\n\xa0\x8d\x06" + bytes(100_000)
    with grpc.insecure_channel(f"127.0.0.1:{shared.port}", compression=algorithm) as channel:
        echo: Any = channel.unary_unary("/test.Acts/Echo")

        assert echo(message, timeout=20) == message


def test_an_encoding_that_is_not_known_is_told_those_that_are(shared: Stage) -> None:
    answer = asked(shared, framed(ONE, 1), grpc_encoding="zstd")

    assert answer.status == UNIMPLEMENTED
    assert answer.head["grpc-accept-encoding"] == "identity,deflate,gzip"
    assert "zstd" in answer.head["grpc-message"]


NO_MESSAGES: dict[str, bytes] = {
    "none": b"",
    "two": framed(ONE) * 2,
    "half": framed(ONE)[:-1],
    "half a prefix": framed(ONE)[:3],
    "one and a half": framed(ONE) + framed(ONE)[:-1],
    "compressed by nothing": framed(ONE, 1),
    "a first byte of 7": framed(ONE, 7),
}


@pytest.mark.parametrize("method", ["Echo", "AtOnce", "Watch"])
@pytest.mark.parametrize("body", NO_MESSAGES.values(), ids=NO_MESSAGES.keys())
def test_a_call_brings_one_whole_message(shared: Stage, method: str, body: bytes) -> None:
    assert asked(shared, body, method).status == INTERNAL
    shared.until_nothing_is_held()


def test_what_is_no_message_of_its_kind_is_an_invalid_argument(shared: Stage) -> None:
    answer = asked(shared, framed(b"\xff\xff\xff"))

    assert answer.status == INVALID_ARGUMENT
    assert "google.protobuf.BytesValue" in answer.head["grpc-message"]


def test_a_message_larger_than_all_may_hold_is_exhaustion_as_it_comes() -> None:
    with stage(most_buffered_bytes=50_000) as door, Caller(door) as caller:
        caller.send(call_head(1), frame(DATA, 0, 1, framed(bytes(100_000))[:60_000]))
        answer = caller.answer(1)

        assert answer.status == RESOURCE_EXHAUSTED
        assert answer.head["grpc-message"].startswith("Received message larger than max")
        door.until_nothing_is_held()
        pack = zlib.compressobj(wbits=31)
        bomb = framed(pack.compress(bytes(10_000_000)) + pack.flush(), 1)
        assert asked(door, bomb, grpc_encoding="gzip").status == RESOURCE_EXHAUSTED
        door.until_nothing_is_held()


@pytest.mark.parametrize("method", ["AtOnce", "Talk", "Watch"])
def test_a_method_of_the_reading_thread_takes_no_large_message_packed_or_not(shared: Stage, method: str) -> None:
    pack = zlib.compressobj(wbits=31)
    bomb = framed(pack.compress(bytes(3_000_000)) + pack.flush(), 1)

    assert asked(shared, bomb, method, grpc_encoding="gzip").status == RESOURCE_EXHAUSTED
    parts = [frame(DATA, 0, 1, part) for part in (framed(bytes(1_200_000))[:500_000], bytes(500_000), bytes(100_000))]
    assert answer_to(shared, call_head(1, method), *parts).status == RESOURCE_EXHAUSTED
    shared.until_nothing_is_held()


def test_too_much_metadata_is_refused_by_its_call_alone(shared: Stage) -> None:
    with Caller(shared) as caller:
        for number, size in enumerate((16_384, 40_000, 100_000)):
            caller.send(call_head(2 * number + 1, x="y" * size), frame(DATA, END_STREAM, 2 * number + 1, framed(ONE)))
            answer = caller.answer(2 * number + 1)
            assert answer.status == RESOURCE_EXHAUSTED
            assert "Metadata may take 16384 bytes" in str(answer)
        caller.send(call(7))
        assert caller.answer(7).status == 0


def test_a_request_that_ends_with_empty_data_is_no_noise(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(window(0, 1 << 30))
        for number in range(0, 24_000, 2):
            end = frame(DATA, 0, number + 1, framed(ONE)) + frame(DATA, END_STREAM, number + 1)
            caller.send(call_head(number + 1, "AtOnce"), end)
            assert caller.answer(number + 1).status == 0


@pytest.mark.parametrize(("method", "body"), [("Echo", b""), ("Watch", framed(ONE))])
def test_what_is_not_answered_at_its_deadline_is_told_so(method: str, body: bytes) -> None:
    with stage() as door:
        end = frame(DATA, END_STREAM if body else 0, 1, body)
        assert answer_to(door, call_head(1, method, grpc_timeout="1m"), end).status == DEADLINE_EXCEEDED
        door.until_nothing_is_held()
        until(lambda: not door.acts.watching)


def test_a_call_is_told_of_its_deadline_while_its_thread_is_still_at_work() -> None:
    with stage() as door, Caller(door) as caller:
        caller.send(call_head(1, "Hold", grpc_timeout="100m"), frame(DATA, END_STREAM, 1, framed(ONE)))

        assert caller.answer(1).status == DEADLINE_EXCEEDED
        assert door.held_bytes > 0
        door.acts.open.set()
        door.until_nothing_is_held()


def test_questions_that_nobody_has_looked_at_end_with_the_deadline() -> None:
    with stage() as door, Caller(door) as caller:
        caller.send(call_head(1, "SlowTalk", grpc_timeout="300m"), *[frame(DATA, 0, 1, framed(ONE))] * 5)
        until(lambda: door.acts.ran)
        (talk,) = door.exchanges
        until(lambda: [type(item) for item in talk._next] == [DeadlineExceeded])
        door.acts.open.set()

        assert caller.answer(1).status == DEADLINE_EXCEEDED
        assert door.acts.ran == [b"one"]
        door.until_nothing_is_held()


def test_bytes_that_come_behind_a_failure_are_not_kept(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 0)) as caller:
        caller.send(call_head(1, "Talk"), frame(DATA, 0, 1, framed(ONE) + framed(b"\xff")))
        caller.send(frame(DATA, 0, 1, b"\0\0\0\xff\xff" + bytes(1000)))
        caller.answered()
        until(lambda: shared.busy_threads == 0)
        held = shared.held_bytes
        caller.send(frame(DATA, 0, 1, bytes(1000)))
        caller.answered()

        assert (shared.held_bytes, shared.streams) == (held, 1)
        assert held < 3500
    shared.until_nothing_is_held()


def test_questions_whose_answers_are_not_taken_have_an_end(shared: Stage) -> None:
    million = framed(b"\x08\xc0\x84\x3d")
    with Caller(shared, (INITIAL_WINDOW_SIZE, 0)) as caller:
        caller.send(call_head(1, "Swell"), frame(DATA, 0, 1, million * 50))
        caller.answered()
        until(lambda: shared.busy_threads == 0)

        assert 1_000_000 < shared.unread_bytes < 3_000_000
    shared.until_nothing_is_held()


@pytest.mark.parametrize(
    "changes",
    [
        {":method": "GET"},
        {"content-type": None},
        {"content-type": "application/json"},
        {"content-type": "application/grpc-web"},
    ],
)
def test_whoever_does_not_speak_grpc_is_told_in_http(shared: Stage, changes: dict[str, str | None]) -> None:
    assert answer_to(shared, call_head(1, "Echo", END_HEADERS | END_STREAM, **changes)).head == {":status": "415"}


@pytest.mark.parametrize("kind", ["application/grpc+proto", "application/grpc;charset=utf-8"])
def test_grpc_may_say_how_its_messages_are_written(shared: Stage, kind: str) -> None:
    assert asked(shared, framed(ONE), content_type=kind).status == 0


@pytest.mark.parametrize("text", ["100 % sure", "näïve ☃ 你好 🦄", "two\nlines\tand\x7f\0", "%41%zz", "x" * 900])
def test_an_error_arrives_as_it_was_written(shared: Stage, text: str) -> None:
    encoded = text.encode()
    size = bytes((len(encoded),)) if len(encoded) < 128 else bytes((len(encoded) % 128 + 128, len(encoded) // 128))
    with grpc.insecure_channel(f"127.0.0.1:{shared.port}") as channel:
        fail: Any = channel.unary_unary("/test.Acts/Fail")
        with pytest.raises(grpc.RpcError) as failed:
            fail(b"\n" + size + encoded, timeout=20)

    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, text)


def test_metadata_may_repeat_and_be_of_bytes(shared: Stage) -> None:
    metadata = (("x-twice", "a"), ("x-twice", "b"), ("x-raw-bin", bytes(range(256))))
    with grpc.insecure_channel(f"127.0.0.1:{shared.port}") as channel:
        echo: Any = channel.unary_unary("/test.Acts/Echo")

        assert echo(ONE, metadata=metadata, timeout=20) == ONE
