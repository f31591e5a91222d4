"""Section 6 of the protocol: REST paths, methods, headers and bodies as they arrive."""

import gzip
import json
import socket

import pytest

from serving.modelserver.rest_body import MOST_INFLATED_BYTES
from serving.modelserver.server import ModelServer
from tests.modelserver.asking import Rest, rest_to

ONE = {"instances": [1.0]}
TWICE = {"predictions": [2.0]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/doubler:predict"),
        ("POST", "/v1/models/doubler"),
        ("POST", "/v1/models/doubler/metadata"),
        ("POST", "/v1/models/doubler:explain"),
        ("POST", "/v1/models/doubler/versions/one:predict"),
        ("GET", "/v1/models/doubler/versions/one"),
        ("GET", "/v1/models/doubler/versions/1/labels/stable"),
        ("GET", "/v1/models/doubler/labels/stable/versions/1"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/other"),
        ("GET", "/v1/models/doubler/metadata/more"),
        ("POST", "/v1/models/doubler:predict/"),
        ("POST", "/v1/models/doubler:predict?verbose=1"),
        ("PUT", "/v1/models/doubler:predict"),
        ("DELETE", "/v1/models/doubler"),
        ("PATCH", "/v1/models/doubler"),
    ],
)
def test_anything_else_below_v1_is_malformed(stand_in_rest: Rest, method: str, path: str) -> None:
    answer = stand_in_rest.ask(method, path, ONE if method in ("POST", "PUT") else None)

    assert (answer.status, answer.error) == (400, f"Malformed request: {method} {path}")


def test_head_is_malformed_and_has_no_body(stand_in_rest: Rest) -> None:
    answer = stand_in_rest.ask("HEAD", "/v1/models/doubler")

    assert (answer.status, answer.body) == (400, b"")


def test_the_list_of_models_wants_a_name(stand_in_rest: Rest) -> None:
    answer = stand_in_rest.get("/v1/models")

    assert (answer.status, answer.error) == (400, "Missing model name in request.")


@pytest.mark.parametrize("path", ["/v1/models/doubler/versions/{}", "/v1/models/doubler/versions/{}/metadata"])
def test_a_version_beyond_64_bits_is_refused(stand_in_rest: Rest, path: str) -> None:
    digits = str(2**63)

    answer = stand_in_rest.get(path.format(digits))

    assert (answer.status, answer.error) == (400, f"Failed to convert version: {digits} to numeric.")
    assert stand_in_rest.get(path.format(2**63 - 1)).status == 404


@pytest.mark.parametrize("path", ["/", "/v1", "/v3/models/doubler", "/favicon.ico", "/monitoring"])
def test_paths_outside_v1_are_not_found(stand_in_rest: Rest, path: str) -> None:
    assert stand_in_rest.get(path).status == 404


@pytest.mark.parametrize("path", ["/V1/Models/doubler:PREDICT", "/v1/models/doubler/VERSIONS/1:Predict"])
def test_the_fixed_words_match_in_any_case(stand_in_rest: Rest, path: str) -> None:
    assert stand_in_rest.post(path, ONE).json == TWICE


def test_names_are_matched_raw_and_decoded_afterwards(stand_in_rest: Rest) -> None:
    answer = stand_in_rest.get("/v1/models/a%2Fb%3Ac")

    assert (answer.status, answer.error) == (404, "Could not find any versions of model a/b:c")
    assert stand_in_rest.post("/v1/models/%64oubler:predict", ONE).json == TWICE


def test_a_query_becomes_part_of_the_name_of_a_get(stand_in_rest: Rest) -> None:
    answer = stand_in_rest.get("/v1/models/doubler?verbose=1")

    assert (answer.status, answer.error) == (404, "Could not find any versions of model doubler?verbose=1")


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://example.org", 200), ("https://example.org", 200), ("example.org", 400), (None, 400)],
)
def test_options_want_an_origin(stand_in_rest: Rest, origin: str | None, status: int) -> None:
    answer = stand_in_rest.ask("OPTIONS", "/v1/models/doubler:predict", headers={"Origin": origin} if origin else {})

    assert answer.status == status
    assert bool(answer.body) == (status != 200)


@pytest.mark.parametrize(
    "path", ["/v1/models/doubler", "/v1/models/unicorn", "/v1/other", "/v1/models/doubler/metadata"]
)
def test_replies_are_json_of_a_known_length(stand_in_rest: Rest, path: str) -> None:
    answer = stand_in_rest.get(path)

    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert "content-encoding" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_a_connection_is_kept_also_after_errors(stand_in_server: ModelServer) -> None:
    with socket.create_connection(("127.0.0.1", stand_in_server.rest_port or 0)) as connection:
        stream = connection.makefile("rb")
        for path, status in (("/v1/models/unicorn", b"404"), ("/v1/x", b"400"), ("/v1/models/doubler", b"200")):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert stream.readline().split()[1] == status
            headers = {}
            while (line := stream.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                headers[name.strip().lower()] = value.strip()
            assert headers.get(b"connection", b"keep-alive").lower() != b"close"
            assert json.loads(stream.read(int(headers[b"content-length"])))


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "image/png", "nonsense"])
def test_the_content_type_of_a_request_is_ignored(stand_in_rest: Rest, kind: str) -> None:
    answer = stand_in_rest.ask("POST", "/v1/models/doubler:predict", ONE, {"Content-Type": kind})

    assert answer.json == TWICE


def test_gzip_bodies_are_inflated_and_replies_never_compressed(stand_in_rest: Rest) -> None:
    body = gzip.compress(b'{"instances": ') + gzip.compress(b"[1.0]}")
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}

    answer = stand_in_rest.ask("POST", "/v1/models/doubler:predict", body, headers)

    assert answer.json == TWICE


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b'{"instances": [1.0]}')[:-9], b"\x1f\x8b"],
    ids=["plain", "cut short", "only begun"],
)
def test_a_body_that_is_not_the_gzip_it_says_is_refused(stand_in_rest: Rest, body: bytes) -> None:
    answer = stand_in_rest.ask("POST", "/v1/models/doubler:predict", body, {"Content-Encoding": "gzip"})

    assert answer.status == 400
    assert "gzip" in answer.error


def test_a_gzip_bomb_is_refused_without_being_opened_whole(stand_in_rest: Rest) -> None:
    bomb = gzip.compress(bytes(MOST_INFLATED_BYTES + 1), 1)

    answer = stand_in_rest.ask("POST", "/v1/models/doubler:predict", bomb, {"Content-Encoding": "gzip"})

    assert answer.status == 413
    assert str(MOST_INFLATED_BYTES) in answer.error


def test_a_body_of_a_hundred_megabytes_goes_through(stand_in_server: ModelServer) -> None:
    padding = b" " * 120_000_000
    with rest_to(stand_in_server) as rest:
        answer = rest.post("/v1/models/doubler:predict", b'{"instances": [1.0]' + padding + b"}")

    assert (answer.status, answer.json) == (200, TWICE)


def test_a_chunked_body_is_a_body(stand_in_server: ModelServer) -> None:
    with rest_to(stand_in_server) as rest:
        rest.connection.request(
            "POST", "/v1/models/doubler:predict", iter([b'{"instances"', b": [1.0]}"]), encode_chunked=True
        )
        assert json.loads(rest.connection.getresponse().read()) == TWICE
