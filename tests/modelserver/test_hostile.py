"""Callers that mean harm, or are broken: each is answered or dropped, and nobody else notices."""

import contextlib
import random
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from serving.modelserver.server import ModelServer
from tests.modelserver.asking import Rest, grpc_to, predict_request, rest_to
from tests.modelserver.stand_ins import ASLEEP
from tests.waiting import until

ONE = {"instances": [1.0]}
PREDICT = "/tensorflow.serving.PredictionService/Predict"
HEAD = b"POST /v1/models/doubler:predict HTTP/1.1\r\nHost: x\r\n"
CHUNK = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
OFFER = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
BYE = b"GET /v1/models/doubler HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def others_are_served(server: ModelServer) -> None:
    """A fresh caller on each door is answered."""
    with rest_to(server) as rest, grpc_to(server) as channel:
        assert rest.predict("doubler", ONE).json == {"predictions": [2.0]}
        assert channel.predict(predict_request("doubler", {"x": [1.0]}))["y"].tolist() == [2]


@contextlib.contextmanager
def connections(port: int | None, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port or 0))) for _ in range(count)]


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    connection.settimeout(20)
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\n{", b"408", id="half a body"),
        pytest.param(HEAD + b"Content-", b"408", id="half a head"),
        pytest.param(b"G", b"408", id="one byte"),
    ],
)
def test_slow_senders_are_told_off_and_others_are_served(
    stand_in_server: ModelServer, sent: bytes, status: bytes
) -> None:
    with connections(stand_in_server.rest_port, 100) as stalled:
        for connection in stalled:
            connection.sendall(sent)
        others_are_served(stand_in_server)
        for connection in stalled:
            assert answer_of(connection).split()[1] == status
    others_are_served(stand_in_server)


def test_thousands_of_idle_connections_harm_nobody(stand_in_server: ModelServer) -> None:
    """As many as the limit of open files allows, both ends being in this process."""
    count = min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 6)
    with connections(stand_in_server.rest_port, count), connections(stand_in_server.grpc_port, count // 2):
        others_are_served(stand_in_server)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /v1/models/x HTTP/9.9\r\n\r\n", b"400", id="another protocol"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400", id="HTTP/2"),
        pytest.param(b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"400", id="a path that is no text"),
        pytest.param(HEAD + b"Content-Length: -5\r\n\r\n", b"400", id="a negative length"),
        pytest.param(HEAD + b"Content-Length: 99999999999999\r\n\r\n", b"413", id="a hundred terabytes announced"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400", id="a chunk of no size"),
        pytest.param(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", b"400", id="a tunnel"),
        pytest.param(
            HEAD + b"Connection: close\r\nContent-Length: " + b"0" * 5000 + b"\r\n\r\n", b"400", id="thousands of zeros"
        ),
        pytest.param(HEAD + CHUNK + b"X: " + b"y" * 200_000, b"431", id="a trailer without end"),
        pytest.param(HEAD + CHUNK + b"X: y\r\n" * 60_000, b"431", id="trailers without end"),
        pytest.param(HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n", b"431", id="a long head"),
        pytest.param(b"GET /" + b"a" * 200_000, b"431", id="a path without end"),
    ],
)
def test_what_is_not_a_request_is_refused(stand_in_server: ModelServer, sent: bytes, status: bytes) -> None:
    with connections(stand_in_server.rest_port, 1) as (connection,):
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        answer = answer_of(connection)
    assert answer == b"" or answer.split()[1] == status
    others_are_served(stand_in_server)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([b'Content-Length: 20\r\n\r\n{"instances": [1.0]}'], id="at once"),
        pytest.param([b"Content-Length: 20\r\n\r\n", b'{"instances": [1.0]}'], id="head and body apart"),
        pytest.param([b'Transfer-Encoding: chunked\r\n\r\n14\r\n{"instances": [1.0]}\r\n0\r\n\r\n'], id="in chunks"),
    ],
)
def test_an_offer_to_speak_http2_is_passed_over_as_java_expects(
    stand_in_server: ModelServer, sent: list[bytes]
) -> None:
    with connections(stand_in_server.rest_port, 1) as (connection,):
        connection.sendall(OFFER + sent[0])
        for piece in sent[1:]:
            time.sleep(0.05)
            connection.sendall(piece)
        connection.sendall(BYE)
        first, second = answer_of(connection).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert first.endswith(b'{"predictions": [2.0]}')
    assert second.startswith(b"200")


def test_a_request_in_the_body_behind_an_offer_is_never_run(stand_in_server: ModelServer) -> None:
    """Whoever forwards such a request believes that one answer comes; a second would go to somebody else."""
    hidden = HEAD + b'Content-Length: 20\r\n\r\n{"instances": [1.0]}'
    with connections(stand_in_server.rest_port, 1) as (connection,):
        connection.sendall(OFFER + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden + BYE)
        first, second = answer_of(connection).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"400")
    assert b"JSON Parse error" in first
    assert second.startswith(b"200")
    assert b"model_version_status" in second


def test_callers_that_hang_up_leave_nothing_behind(stand_in_server: ModelServer) -> None:
    body = b'{"instances": [0.2]}'
    request = b"POST /v1/models/sleeper:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for sent in (request, request + body, request + body[:5]):
        with connections(stand_in_server.rest_port, 20) as leaving:
            for connection in leaving:
                connection.sendall(sent)
    until(lambda: not ASLEEP)
    others_are_served(stand_in_server)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"instances": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 100_000,
        b"\xff\xfe\xfd",
        b'{"instances": ["\xed\xa0\x80"]}',
        b'{"instances": [1], "instances": [2.0, 3.0]}',
        b'{"instances": [' + b"9" * 100_000 + b"]}",
        b'{"instances": [1e999999999]}',
        b'{"signature_name": "\\u0000\\ud800", "instances": [1]}',
    ],
    ids=[
        "open lists",
        "deep lists",
        "open objects",
        "no text",
        "a surrogate",
        "a key twice",
        "digits",
        "a power",
        "a name",
    ],
)
def test_json_that_means_harm_is_answered(stand_in_rest: Rest, body: bytes) -> None:
    answer = stand_in_rest.predict("doubler", body)

    assert answer.status in (200, 400)
    assert answer.json
    assert stand_in_rest.predict("doubler", ONE).status == 200


def test_random_bytes_are_never_a_server_error_over_rest(stand_in_rest: Rest) -> None:
    dice = random.Random(7)
    seed = b'{"signature_name": "serving_default", "instances": [{"x": [1.0, {"b64": "YQ=="}, "s", null]}]}'
    for _ in range(300):
        body = bytearray(seed)
        for _ in range(dice.randint(1, 6)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        verb = dice.choice(("predict", "classify", "regress"))
        assert stand_in_rest.post(f"/v1/models/doubler:{verb}", bytes(body)).status in (200, 400, 501)
