"""Calls of every kind from their beginning to their end, and as many at once as may be."""

import threading

import hpack

from tests.modelserver.http2.callers import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    RST_STREAM,
    Caller,
    bytes_value,
    call,
    call_head,
    frame,
    framed,
    literals,
)
from tests.modelserver.http2.doors import Stage, stage
from tests.modelserver.http2.test_windows import ask_zeros
from tests.waiting import until

RESOURCE_EXHAUSTED = 8
ONE = bytes_value(b"one")
HUNDRED_THOUSAND = b"\x08\xa0\x8d\x06"
"""A google.protobuf.Int64Value."""


def test_a_conversation_answers_question_by_question(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call_head(1, "Talk"), frame(DATA, 0, 1, framed(ONE) + framed(b"")[:2]))
        assert caller.next(HEADERS).flags == END_HEADERS
        assert caller.next(DATA).payload == framed(ONE)
        caller.send(frame(DATA, 0, 1, framed(b"")[2:]))
        assert caller.next(DATA).payload == framed(b"")
        caller.send(frame(DATA, 0, 1, framed(b"\xff")))
        assert caller.next(HEADERS).flags & END_STREAM
    shared.until_nothing_is_held()


def test_a_conversation_that_takes_its_time_holds_up_nobody_and_is_answered_in_order() -> None:
    with stage() as door, Caller(door) as talks, Caller(door) as other:
        texts = [b"%d" % number for number in range(20)]
        talks.send(call_head(1, "SlowTalk"), *(frame(DATA, 0, 1, framed(bytes_value(text))) for text in texts))
        talks.send(frame(DATA, 0, 1, framed(b"\xff")))
        until(lambda: door.acts.ran)
        other.send(call(1))
        assert other.answer(1).status == 0

        door.acts.open.set()
        said = [talks.next(DATA).payload for _ in texts]
        assert (said, door.acts.ran) == ([framed(bytes_value(text)) for text in texts], texts)
        assert talks.next(HEADERS).flags & END_STREAM
        door.until_nothing_is_held()


def test_a_conversation_that_is_left_is_not_gone_on_with() -> None:
    with stage() as door, Caller(door) as caller:
        caller.send(call_head(1, "SlowTalk"), *[frame(DATA, 0, 1, framed(ONE))] * 9)
        until(lambda: door.acts.ran)
        caller.send(frame(RST_STREAM, 0, 1, bytes(4)))
        caller.answered()
        door.acts.open.set()
        door.until_nothing_is_held()

        assert door.acts.ran == [b"one"]


def test_conversations_wait_for_a_thread_where_many_come_at_once() -> None:
    with stage() as door, Caller(door) as caller:
        for number in range(100):
            caller.send(call_head(2 * number + 1, "SlowTalk"), frame(DATA, END_STREAM, 2 * number + 1, framed(ONE)))
        until(lambda: len(door.acts.ran) == 16)
        door.acts.open.set()

        ended = [caller.next(HEADERS) for _ in range(200)]
        assert sorted(found.stream for found in ended if found.flags & END_STREAM) == list(range(1, 200, 2))
        assert len({found.payload for found in ended}) == 2
        door.until_nothing_is_held()


def test_a_conversation_of_nothing_ends_well(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call_head(1, "Talk"), frame(DATA, END_STREAM, 1), call_head(3, "Talk", END_HEADERS | END_STREAM))
        assert caller.answer(1).status == 0
        assert caller.answer(3).status == 0


def test_who_watches_is_told_and_may_leave(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call(1, "Watch", b"first"))
        assert caller.next(DATA).payload == framed(bytes_value(b"first"))
        (tell,) = shared.acts.watching
        tell(None)
        assert caller.next(HEADERS).flags & END_STREAM
        shared.acts.watching.clear()
        caller.send(call(3, "Watch"))
        caller.next(DATA)
        caller.send(frame(RST_STREAM, 0, 3, bytes(4)))
        until(lambda: not shared.acts.watching)


def test_a_caller_that_waits_for_large_answers_is_answered_beside_them(shared: Stage) -> None:
    with Caller(shared, (INITIAL_WINDOW_SIZE, 0)) as caller:
        for stream in (1, 3, 5):
            caller.send(ask_zeros(stream, 30_000_000))
        until(lambda: shared.unread_bytes > 89_000_000)
        caller.send(call(7, "Fail"))

        assert caller.answer(7).status == 5
    shared.until_nothing_is_held()


def test_answers_of_conversations_that_nobody_takes_are_held_against_all() -> None:
    with stage(most_buffered_bytes=500_000) as door, Caller(door, (INITIAL_WINDOW_SIZE, 0)) as caller:
        for number in range(10):
            caller.send(call_head(2 * number + 1, "Swell"), frame(DATA, 0, 2 * number + 1, framed(HUNDRED_THOUSAND)))
        until(lambda: door.busy_threads == 0 and door.unread_bytes >= 400_000)
        held = door.held_bytes
        caller.send(call(99, "Fail"))

        assert 400_000 <= door.unread_bytes <= held <= 500_000
        assert caller.answer(99).status == 5
        caller.socket.close()
        door.until_nothing_is_held()


def test_a_caller_that_keeps_no_table_of_headers_is_told_that_none_is_kept(shared: Stage) -> None:
    with Caller(shared, (HEADER_TABLE_SIZE, 0)) as caller:
        caller.send(call(1))
        block = caller.next(HEADERS).payload
        plain = hpack.Decoder()
        plain.max_allowed_table_size = 0

        assert dict(plain.decode(block, raw=True))[b":status"] == b"200"


def test_a_cancelled_call_that_waited_for_its_end_is_not_run(shared: Stage) -> None:
    with Caller(shared) as caller:
        caller.send(call_head(1, "Hold"), frame(DATA, 0, 1, framed(bytes_value(b"cancelled"))))
        caller.send(frame(RST_STREAM, 0, 1, bytes(4)), frame(HEADERS, 5, 1, literals(("x", "y"))))
        caller.answered()

    shared.until_nothing_is_held()
    assert b"cancelled" not in shared.acts.ran


def test_of_more_calls_than_allowed_the_next_is_refused_until_an_answer_is_out() -> None:
    with stage(most_calls=2) as door, Caller(door) as caller:
        caller.send(call(1, "Hold"), call(3, "Hold"))
        until(lambda: len(door.acts.ran) == 2)
        caller.send(call(5))
        assert caller.answer(5).status == RESOURCE_EXHAUSTED
        caller.send(call(7, "AtOnce"))
        assert caller.answer(7).status == 0
        door.acts.open.set()
        caller.answer(1)
        caller.send(call(9))
        assert caller.answer(9).status == 0


def test_a_call_sent_directly_after_an_answer_is_never_refused() -> None:
    refused: list[int] = []
    with stage(most_calls=3) as door:

        def ask() -> None:
            with Caller(door) as caller:
                for number in range(500):
                    caller.send(call(2 * number + 1))
                    if (status := caller.answer(2 * number + 1).status) != 0:
                        refused.append(status)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert refused == []
