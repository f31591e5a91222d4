"""Callers with bad manners: they get what they deserve, and nobody else notices."""

import socket
from contextlib import ExitStack

import pytest

from tests.gateway.caller import COLORS_CLASSIFY, RED, Caller, head, received
from tests.gateway.classifiers import COLORS, Classifiers
from tests.gateway.conftest import Serve


@pytest.fixture
def impatient(serve: Serve) -> Caller:
    """A gateway that waits half a second for a head or a body."""
    return serve(Classifiers(COLORS), head_timeout_s=0.5, body_timeout_s=0.5, max_header_bytes=4096, max_in_flight=2)


def test_with_every_sender_stalled_health_metrics_and_others_are_answered(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), max_in_flight=2)
    with ExitStack() as stack:
        for number in range(64):
            connection = stack.enter_context(caller.connect())
            connection.sendall(head(length=len(RED)) + RED[:100] if number % 2 else b"POST /v1/mod")
        assert caller.ask("/livez").status == 200
        assert caller.ask("/readyz").status in {200, 503}
        assert caller.ask("/metrics").status == 200
        assert caller.classify(RED).labels == ["red"]
        assert caller.classify(b"x" * 100).status == 400


def test_with_every_sender_stalled_shedding_still_works(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), max_buffered_bytes=1000)
    with ExitStack() as stack:
        for _ in range(32):
            stack.enter_context(caller.connect()).sendall(head(length=2000) + b"x" * 20)
        answer = caller.classify(b"x" * 2000)

    assert (answer.status, "retry-after" in answer.headers) == (503, True)


def test_a_body_that_does_not_come_is_a_408(impatient: Caller) -> None:
    with impatient.connect() as connection:
        connection.sendall(head(length=1000) + b"x")
        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


def test_a_head_that_does_not_end_is_a_408(impatient: Caller) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"POST /v1/models/colors/cl")
        assert received(connection).startswith(b"HTTP/1.1 408")


def test_a_connection_that_says_nothing_is_closed(impatient: Caller) -> None:
    with impatient.connect() as connection:
        assert received(connection) == b""


def test_a_connection_that_drips_blank_lines_after_an_answer_is_closed(impatient: Caller) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\r\n")
        received(connection)  # ends only because the other side closes


@pytest.mark.parametrize("apart", [True, False], ids=["after-the-answer", "with-the-first"])
def test_a_second_head_that_does_not_end_is_closed(impatient: Caller, apart: bool) -> None:
    whole, half = b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n", b"GET /livez HTTP/1.1\r\nHo"
    with impatient.connect() as connection:
        connection.sendall(whole if apart else whole + half)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        if apart:
            connection.sendall(half)
        received(connection)  # ends only because the other side closes


def test_a_second_head_in_two_pieces_is_answered(impatient: Caller) -> None:
    with impatient.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHo")
            connection.sendall(b"st: g\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("host", ["g", "", "a" * 70 + ".example", "!?", "[::1]:80", "g:99999"])
def test_whatever_the_host_is_called_the_route_is_the_same(gateway: Caller, host: str) -> None:
    assert gateway.classify(RED, Host=host).labels == ["red"]


@pytest.mark.parametrize("whole", [True, False], ids=["in-one-piece", "without-end"])
def test_a_head_that_is_too_long_is_a_431(impatient: Caller, whole: bool) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: g\r\nX: " + b"x" * 8000 + (b"\r\n\r\n" if whole else b""))
        assert received(connection).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"GET / HTTP/9.9\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: g\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/models HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: g\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: g\r\n\r\n",
    ],
    ids=["tls", "version", "words", "negative", "two-lengths", "smuggling", "bytes", "http2", "connect"],
)
def test_garbage_is_a_400_and_the_end_of_its_connection(impatient: Caller, garbage: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(garbage)
        answer = received(connection)

    assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405"}
    assert impatient.ask("/livez").status == 200


CHUNKED = head(Transfer_Encoding="chunked")


@pytest.mark.parametrize("chunks", [b"-1\r\n", b"0x5\r\n", b"5\nhello", b"1\r\nabc\r\n", b"f" * 20 + b"\r\n"])
def test_a_body_of_damaged_chunks_is_a_400(impatient: Caller, chunks: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(CHUNKED + chunks)
        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer
    assert impatient.classify(RED).labels == ["red"]


@pytest.mark.parametrize("framing", [b"1\r\na\r\n0\r\nX: ", b"1;", b"0"], ids=["trailers", "extensions", "sizes"])
def test_trailers_and_extensions_of_chunks_have_an_end(impatient: Caller, framing: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(CHUNKED + framing)
        assert impatient.ask("/livez").status == 200  # by now the server has read what came before
        connection.sendall(b"0" * 5000)
        assert received(connection).startswith(b"HTTP/1.1 431")


def test_trailers_never_become_headers(gateway: Caller) -> None:
    with gateway.connect() as connection:
        connection.sendall(CHUNKED + b"1\r\na\r\n0\r\nX-Request-Id: trailing\r\n\r\n")
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"trailing" not in answer


def test_a_length_with_thousands_of_zeros_is_a_length(gateway: Caller) -> None:
    with gateway.connect() as connection:
        connection.sendall(head(Content_Length=f"{len(RED):05000}") + RED)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_an_offer_to_speak_http2_is_passed_over_and_the_body_read(gateway: Caller) -> None:
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABk"}
    with gateway.connect() as connection:
        connection.sendall(head(length=len(RED), **offer) + RED)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_garbage_pipelined_after_a_request_does_not_stop_the_server(impatient: Caller) -> None:
    with impatient.connect() as connection:
        connection.sendall(head(length=len(RED)) + RED + b"\x00garbage\r\n\r\n" * 10)
        received(connection)

    assert impatient.classify(RED).labels == ["red"]


def test_a_caller_that_leaves_half_way_is_forgotten(impatient: Caller) -> None:
    for _ in range(20):
        with impatient.connect() as connection:
            connection.sendall(head(length=len(RED)) + RED[:50])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # reset

    assert impatient.classify(RED).labels == ["red"]
    assert b"gateway_in_flight 0.0" in impatient.ask("/metrics").body


def test_more_connections_than_allowed_are_closed_unanswered(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), max_connections=4)
    with ExitStack() as stack:
        kept = [stack.enter_context(caller.connect()) for _ in range(4)]
        for connection in kept:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert received(stack.enter_context(caller.connect())) == b""
        kept[0].sendall(b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
        assert kept[0].recv(65536).startswith(b"HTTP/1.1 200")


def test_a_header_with_underscores_cannot_pose_as_one_with_dashes(gateway: Caller) -> None:
    answer = gateway.ask(COLORS_CLASSIFY, RED, {"Content-Type": "image/jpeg", "X_Request_Timeout": "nonsense"})

    assert answer.status == 200


def test_request_ids_with_odd_characters_are_replaced(gateway: Caller) -> None:
    answer = gateway.classify(RED, **{"X-Request-Id": 'a"b<script>'})

    assert answer.headers["x-request-id"] == answer.json["request_id"] != 'a"b<script>'


@pytest.mark.parametrize("length", [4, 400])
def test_a_path_leads_to_its_route_however_long_it_is_and_how_often_it_is_asked(gateway: Caller, length: int) -> None:
    for _ in range(3):
        answer = gateway.classify(RED, model="m" * length)
        assert (answer.status, "m" * length in answer.json["detail"]) == (404, True)
