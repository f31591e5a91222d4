"""What one connection may hold: requests sent ahead, bodies in crumbs or too late, answers that nobody reads."""

import hashlib
import logging
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from serving import http_connection
from serving.gateway.upstream import RestAnswer, RestCall
from serving.http_connection import MOST_PIPELINED
from tests.gateway.caller import RED, Caller, head, received
from tests.gateway.classifiers import COLORS, Classifiers, Gate
from tests.gateway.conftest import Serve
from tests.waiting import until

LIVE = b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n"
LAST_LIVE = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
CLASSIFY = head(length=len(RED)) + RED


class Wordy:
    """A RestDoor whose answers are larger than what two sockets buffer."""

    def ask(self, call: RestCall) -> RestAnswer:
        return RestAnswer(200, [("content-type", "application/json")], b" " * 30_000_000)


def connections(caller: Caller) -> int:
    return len(caller.gateway._server.server_state.connections)


@pytest.fixture
def jammed(serve: Serve) -> tuple[Caller, Gate]:
    """A gateway that answers nothing but what needs no model until the gate opens."""
    upstream = Classifiers(COLORS)
    gate = Gate()
    upstream.before_answer = gate
    return serve(upstream), gate


@pytest.fixture
def wordy(serve: Serve) -> Caller:
    """A gateway with long answers, which must be read within half a second."""
    upstream = Classifiers(COLORS)
    upstream.rest = Wordy()
    return serve(upstream, body_timeout_s=0.5, grace_s=30)


def test_a_few_requests_may_be_sent_ahead(jammed: tuple[Caller, Gate]) -> None:
    caller, gate = jammed
    with caller.connect() as connection:
        connection.sendall(CLASSIFY + LIVE * (MOST_PIPELINED - 1) + LAST_LIVE)
        assert gate.reached.wait(10)
        gate.open.set()
        assert received(connection).count(b"HTTP/1.1 200") == MOST_PIPELINED + 1


def test_who_sends_any_number_of_requests_ahead_is_hung_up_on(jammed: tuple[Caller, Gate]) -> None:
    caller, gate = jammed
    with caller.connect() as connection:
        connection.sendall(CLASSIFY + LIVE * 10 * MOST_PIPELINED)
        assert received(connection) == b""
        assert caller.ask("/livez").status == 200
    gate.open.set()


def test_a_caller_that_leaves_with_requests_sent_ahead_is_no_fault_of_the_server(
    jammed: tuple[Caller, Gate], caplog: pytest.LogCaptureFixture
) -> None:
    caller, gate = jammed
    with caller.connect() as connection:
        connection.sendall(CLASSIFY + LIVE)
        assert gate.reached.wait(10)
    until(lambda: connections(caller) == 0)
    gate.open.set()
    until(lambda: b"gateway_in_flight 0.0" in caller.ask("/metrics").body)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def chunked(body: bytes, size: int) -> bytes:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_a_body_in_crumbs_has_an_end(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), max_header_bytes=4096)
    with caller.connect() as connection:
        connection.sendall(head(Transfer_Encoding="chunked"))
        assert caller.ask("/livez").status == 200  # by now the server has read the head
        connection.sendall(chunked(b"x" * 2000, 1))
        assert received(connection).startswith(b"HTTP/1.1 431")


def test_a_long_body_in_small_chunks_is_taken(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), max_header_bytes=4096)
    with caller.connect() as connection:
        connection.sendall(head(Transfer_Encoding="chunked") + chunked(RED + bytes(500_000), 8) + b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.fixture
def guarded(serve: Serve, tmp_path: Path) -> Caller:
    keys = tmp_path / "keys"
    keys.write_text(f"ann {hashlib.sha256(b'a-secret').hexdigest()}")
    return serve(Classifiers(COLORS), api_keys=keys)


def test_one_that_is_refused_before_its_body_has_come_gets_one_answer_and_may_go_on(guarded: Caller) -> None:
    with guarded.connect() as connection:
        connection.sendall(head(length=2_000_000))
        assert guarded.ask("/livez").status == 200  # by now the server has read the head
        connection.sendall(b"x" * 2_000_000 + LAST_LIVE)
        answers = received(connection)

    assert [answers[at + 9 : at + 12] for at in _starts(answers)] == [b"401", b"200"]


def test_one_that_is_refused_and_sends_no_body_is_hung_up_on(guarded: Caller) -> None:
    with guarded.connect() as connection:
        connection.sendall(head(length=100_000))
        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close\r\n" in answer


def test_one_that_waits_to_be_asked_for_its_body_is_refused_without_it(guarded: Caller) -> None:
    with guarded.connect() as connection:
        connection.sendall(head(length=100_000, Expect="100-continue"))
        assert received(connection).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("kind", ["kept", "close"])
def test_an_answer_that_nobody_reads_does_not_stay(wordy: Caller, kind: str) -> None:
    with wordy.connect() as connection:
        _ask_and_do_not_read(connection, f"Connection: {kind}")
        until(lambda: connections(wordy) == 1)
        until(lambda: connections(wordy) == 0)


def test_a_long_answer_is_read_whole(wordy: Caller) -> None:
    assert len(wordy.ask("/v2").body) == 30_000_000


def test_an_answer_that_nobody_reads_does_not_hold_up_the_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "LINGER_S", 0.2)
    upstream = Classifiers(COLORS)
    upstream.rest = Wordy()
    caller = serve(upstream)
    with caller.connect() as connection:
        _ask_and_do_not_read(connection, "X: y")
        assert connection.recv(1) == b"H"
        assert caller.gateway.stop(grace_s=20) is True
        assert caller.gateway.grace_left_s > 0


@pytest.mark.parametrize(("limit", "answered"), [("-n", 48), ("-Sn", 90)], ids=["hard", "soft"])
def test_strangers_leave_some_of_the_open_files_to_the_gateway_itself(limit: str, answered: int) -> None:
    shell = f'ulimit {limit} 128 && exec "$0" -m serving.gateway --port 0 --upstream 127.0.0.1:1'
    with subprocess.Popen(["sh", "-c", shell, sys.executable], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next(int(found[1]) for line in lines if (found := re.search(r"http://127.0.0.1:(\d+)", line)))
        with ExitStack() as stack:
            strangers = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(90)]
            for stranger in strangers:
                with suppress(ConnectionError):
                    stranger.sendall(LIVE)
            assert sum(_is_answered(stranger) for stranger in strangers) == answered
        process.terminate()
        assert process.wait(20) == 0


def _is_answered(connection: socket.socket) -> bool:
    with suppress(ConnectionError):
        return connection.recv(9) == b"HTTP/1.1 "
    return False


def _ask_and_do_not_read(connection: socket.socket, header: str) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(f"GET /v2 HTTP/1.1\r\nHost: g\r\n{header}\r\n\r\n".encode())


def _starts(answers: bytes) -> list[int]:
    return [at for at in range(len(answers)) if answers.startswith(b"HTTP/1.1 ", at)]
