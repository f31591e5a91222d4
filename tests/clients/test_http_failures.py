"""What HttpClient makes of servers that are slow, broken, busy or hostile."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from clients.answers import Value
from clients.client import Tls
from clients.http_client import HttpClient
from serving import errors
from serving.errors import (
    BadInput,
    BodyTooLarge,
    DeadlineExceeded,
    Overloaded,
    ServingError,
    Unavailable,
    Unknown,
)
from tests.clients.scripted import one_by_one, reply, serving

CAT = {"label": "cat", "probability": 0.9}
GOOD = reply(json.dumps({"model": "m", "version": 3, "predictions": [CAT | {"top": [CAT]}]}))
BUSY = reply('{"detail": "busy", "type": "/docs#overloaded"}', "503 Service Unavailable", "Retry-After: 0")


def classified(url: str, *, picture: bytes = b"a picture", **settings: Any) -> str:
    with HttpClient(url, **settings) as client:
        return client.classify([picture], "m")[0].label


def test_rows_go_as_json_and_values_come_back() -> None:
    answer = reply(json.dumps({"model": "houses", "version": 2, "predictions": [{"value": 3.5}, {"value": 4}]}))

    with serving(one_by_one(answer)) as server, HttpClient(server.url) as client:
        found = client.score([{"rooms": 1.0}, [2.0]], "houses")

    assert found == [Value("houses", 2, 3.5), Value("houses", 2, 4.0)]
    assert server.heads[0].startswith("POST /v1/models/houses/classify?")


def test_a_connection_is_used_again() -> None:
    with serving(one_by_one(GOOD)) as server, HttpClient(server.url, concurrency=1) as client:
        client.classify([b"picture"] * 5, "m")
        client.classify([b"picture"] * 5, "m")

    assert len(server.heads) == 10
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_replaced_unnoticed() -> None:
    def answer_once(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(GOOD)
        return False

    with serving(answer_once) as server, HttpClient(server.url, attempts=1, concurrency=1) as client:
        assert [client.classify([b"picture"], "m")[0].label for _ in range(4)] == ["cat"] * 4


def test_a_server_that_hangs_up_without_a_word_is_unavailable() -> None:
    with serving(lambda _connection, _head: False) as server, pytest.raises(Unavailable, match="cannot be asked"):
        classified(server.url, attempts=1)


def test_the_key_and_the_time_left_are_sent() -> None:
    with serving(one_by_one(GOOD)) as server:
        classified(server.url, api_key="secret", timeout_s=7)

    assert "Authorization: Bearer secret" in server.heads[0]
    assert re.search(r"X-Request-Timeout: (6\.\d+|7\.000)\b", server.heads[0])


def test_a_busy_server_is_asked_again() -> None:
    with serving(one_by_one(BUSY, BUSY, GOOD)) as server:
        assert classified(server.url, attempts=3) == "cat"

    assert len(server.heads) == 3


def test_attempts_end() -> None:
    with serving(one_by_one(BUSY)) as server, pytest.raises(Overloaded, match="busy"):
        classified(server.url, attempts=2)

    assert len(server.heads) == 2


def test_a_wait_that_would_outlast_the_deadline_is_not_begun() -> None:
    later = reply('{"detail": "come back"}', "503 Service Unavailable", "Retry-After: 3600")

    with serving(one_by_one(later)) as server, pytest.raises(Unavailable, match="come back"):
        classified(server.url, attempts=5, timeout_s=5)

    assert len(server.heads) == 1


def test_what_trying_again_cannot_help_is_tried_once() -> None:
    with serving(one_by_one(reply('{"detail": "no"}', "400 Bad Request"))) as server, pytest.raises(BadInput):
        classified(server.url, attempts=5)

    assert len(server.heads) == 1


def test_silence_ends_at_the_deadline() -> None:
    released = threading.Event()

    def never(_connection: socket.socket, _head: bytes) -> bool:
        return released.wait(30)

    with serving(never) as server, pytest.raises(DeadlineExceeded):
        classified(server.url, timeout_s=0.3)
    released.set()


def test_an_answer_that_drips_ends_at_the_deadline_too() -> None:
    def drip(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stopped.wait(0.05):
            connection.sendall(b" ")
        return False

    stopped = threading.Event()
    with serving(drip) as server, pytest.raises(DeadlineExceeded):
        classified(server.url, timeout_s=0.5)
    stopped.set()


def test_a_refusal_before_the_whole_body_was_read_is_understood() -> None:
    body = '{"detail": "too big", "type": "/docs#body-too-large"}'
    refusal = reply(body, "413 Content Too Large", "Connection: close")

    def refuse(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(refusal)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
        return False

    with serving(refuse, read_bodies=False) as server, pytest.raises(BodyTooLarge, match="too big"):
        classified(server.url, attempts=1, picture=bytes(20_000_000))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply("not JSON"), id="no-json"),
        pytest.param(reply("[]"), id="no-object"),
        pytest.param(reply("{}"), id="no-predictions"),
        pytest.param(reply('{"model": "m", "version": 1, "predictions": []}'), id="too-few"),
        pytest.param(reply('{"model": "m", "version": 1, "predictions": [{"top": []}]}'), id="no-label"),
        pytest.param(reply("<html>", "500 Internal Server Error"), id="html"),
    ],
)
def test_an_answer_that_makes_no_sense_is_unknown(answer: bytes) -> None:
    with serving(one_by_one(answer)) as server, pytest.raises(ServingError) as refused:
        classified(server.url)

    assert type(refused.value) is Unknown


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"])
def test_what_is_not_http_or_breaks_off_is_unavailable(answer: bytes) -> None:
    def once(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(answer)
        return False

    with serving(once) as server, pytest.raises(Unavailable):
        classified(server.url, attempts=1)


@pytest.mark.parametrize(
    ("kind", "status", "document"),
    [
        (errors.UnsupportedKind, "415 U", {"type": "/docs#unsupported-kind", "detail": "d"}),
        (errors.NoCard, "409 C", {"type": "/docs#no-card", "detail": "d"}),
        (errors.RateLimited, "429 T", {"type": "/docs#rate-limited", "detail": "d"}),
        (errors.NotFound, "404 N", {"error": "d"}),
        (errors.Unauthenticated, "401 U", {"detail": "d"}),
        (errors.Unknown, "418 T", {"detail": "d"}),
    ],
)
def test_a_refusal_comes_back_as_the_error_that_the_server_meant(
    kind: type[ServingError], status: str, document: dict[str, str]
) -> None:
    answer = reply(json.dumps(document), status)

    with serving(one_by_one(answer)) as server, pytest.raises(ServingError, match="d") as refused:
        classified(server.url, attempts=1)

    assert type(refused.value) is kind


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", ""])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(BadInput, match=r"http://127.0.0.1:8080"):
        HttpClient(url)


def test_a_prefix_in_the_address_goes_before_every_path() -> None:
    with serving(one_by_one(GOOD)) as server:
        classified(f"{server.url}/models-of/team/")

    assert server.heads[0].startswith("POST /models-of/team/v1/models/m/classify?")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate: apt-get install openssl")
def test_tls_is_spoken_and_strangers_are_not_trusted(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", str(key), "-out", str(certificate), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *files], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    with serving(one_by_one(GOOD), tls=context) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        assert classified(url, tls=Tls(ca=certificate)) == "cat"
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            classified(url, attempts=1)
