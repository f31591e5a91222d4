"""Every refusal: its status, its form, and that it says what to do."""

import encodings
import json
import re

import pytest

from serving.errors import (
    DataLoss,
    DeadlineExceeded,
    Overloaded,
    ServingError,
    Unavailable,
    Unimplemented,
)
from tests.gateway.caller import COLORS_CLASSIFY, GREEN, JPEG, JSON, MOODS_CLASSIFY, RED, TEXT, Answered, Caller, form
from tests.gateway.classifiers import COLORS, Classifiers, Failing
from tests.gateway.conftest import Serve


def is_a_problem(answer: Answered, status: int, *words: str) -> None:
    """The form of RFC 9457, the status everywhere the same, and the words that help."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json
    assert {"type", "title", "status", "detail", "request_id"} <= set(found)
    assert found["status"] == status
    assert found["request_id"] == answer.headers["x-request-id"]
    for word in words:
        assert word in found["detail"]
    assert ("retry-after" in answer.headers) == (status in {429, 503, 504})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"this is no picture", ["picture"], id="not-a-picture"),
        pytest.param(GREEN[: len(GREEN) // 2], [], id="truncated"),
        pytest.param(GREEN[:4], [], id="only-a-head"),
    ],
)
def test_a_bad_picture_is_a_400(gateway: Caller, data: bytes, words: list[str]) -> None:
    is_a_problem(gateway.classify(data), 400, *words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", ["JSON"]),
        ("[]", ["instances"]),
        ('{"instances": "x"}', ["instances"]),
        ('{"instances": [7]}', ["instance"]),
        ('{"instances": [{"b64": "?"}]}', ["base64"]),
        ('{"instances": [{"b64": 7}]}', ["b64"]),
        ('{"inputs": []}', ["instances"]),
        (b"\xff\xfe", ["JSON"]),
        ("[" * 60_000, ["JSON"]),
    ],
)
def test_bad_json_is_a_400(gateway: Caller, body: bytes | str, words: list[str]) -> None:
    is_a_problem(gateway.ask(COLORS_CLASSIFY, body, JSON), 400, *words)


@pytest.mark.parametrize(
    "query",
    [
        "?top=0",
        "?top=x",
        "?top=-1",
        "?top=1e3",
        "?version=0",
        "?version=" + "9" * 30,
        "?partial=maybe",
        "?best=1",
        "?version=1&label=stable",
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(gateway: Caller, query: str) -> None:
    name = re.split(r"[?=&]", query)[1]
    is_a_problem(gateway.classify(RED, query), 400, name)


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "nan", ""])
def test_a_bad_timeout_is_a_400(gateway: Caller, timeout: str) -> None:
    is_a_problem(gateway.classify(RED, **{"X-Request-Timeout": timeout}), 400, "X-Request-Timeout")


@pytest.mark.parametrize(
    "data",
    [b"--b0undary\r\nContent-Disposition: form-data", b"", b"junk", b"--b0undary\r\n\r\n\r\n--b0undary--\r\n"],
)
def test_a_damaged_form_is_refused(gateway: Caller, data: bytes) -> None:
    answer = gateway.ask(COLORS_CLASSIFY, data, {"Content-Type": "multipart/form-data; boundary=b0undary"})

    assert answer.status in {400, 422}


def test_a_form_without_a_boundary_is_a_400(gateway: Caller) -> None:
    is_a_problem(gateway.ask(COLORS_CLASSIFY, b"x", {"Content-Type": "multipart/form-data"}), 400, "boundary")


@pytest.mark.parametrize("path", ["/v1/models/unicorn/classify", "/v1/models/unicorn/classify?version=3"])
def test_an_unknown_model_is_a_404_that_names_it(gateway: Caller, path: str) -> None:
    is_a_problem(gateway.ask(path, RED, JPEG), 404, "unicorn")


def test_an_unknown_model_has_no_card_to_show(gateway: Caller) -> None:
    is_a_problem(gateway.ask("/v1/models/unicorn"), 404, "unicorn")


def test_an_unknown_version_is_a_404(gateway: Caller) -> None:
    is_a_problem(gateway.classify(RED, "?version=7"), 404, "7")


def test_an_unknown_label_is_a_404(gateway: Caller) -> None:
    is_a_problem(gateway.classify(RED, "?label=canary"), 404)


def test_an_unknown_path_is_a_404_that_leads_to_the_documentation(gateway: Caller) -> None:
    is_a_problem(gateway.ask("/v2/what"), 404, "/docs")


@pytest.mark.parametrize("path", ["/v1/models/%2f", "/v1/models//colors", "/v1//models"])
def test_a_path_with_two_slashes_is_a_404_like_any_other(gateway: Caller, path: str) -> None:
    is_a_problem(gateway.ask(path), 404, "/docs")


def test_another_method_is_a_405_that_lists_the_right_ones(gateway: Caller) -> None:
    answer = gateway.ask(COLORS_CLASSIFY)

    is_a_problem(answer, 405)
    assert "POST" in answer.headers["allow"]


def test_a_model_without_a_card_is_a_409_with_the_command_that_makes_one(gateway: Caller) -> None:
    answer = gateway.ask("/v1/models/plain/classify", RED, JPEG)

    is_a_problem(answer, 409, "python -m training import MODEL --name plain")


def test_a_body_over_the_limit_is_a_413(gateway: Caller) -> None:
    is_a_problem(gateway.classify(b"x" * 200_001), 413, "200000")


def test_a_chunked_body_over_the_limit_is_a_413_too(gateway: Caller) -> None:
    with gateway.connect() as connection:
        connection.sendall(f"POST {COLORS_CLASSIFY} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(3):
            connection.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_whoever_asks_before_sending_is_told_413_at_once(gateway: Caller) -> None:
    with gateway.connect() as connection:
        connection.sendall(
            f"POST {COLORS_CLASSIFY} HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "kind", ["image/svg+xml", "application/pdf", "video/mp4", "image/heic", "image/tiff", "nonsense"]
)
def test_an_unsupported_type_is_a_415_that_says_what_is_accepted(gateway: Caller, kind: str) -> None:
    is_a_problem(gateway.ask(COLORS_CLASSIFY, RED, {"Content-Type": kind}), 415, kind, "image/jpeg")


def test_what_curl_sends_by_default_is_a_415_with_the_missing_option(gateway: Caller) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    is_a_problem(gateway.ask(COLORS_CLASSIFY, RED, kind), 415, "-H 'Content-Type: image/jpeg'")


def test_a_text_for_a_picture_model_is_a_415_that_says_what_is_accepted(gateway: Caller) -> None:
    is_a_problem(gateway.ask(COLORS_CLASSIFY, "hello", TEXT), 415, "takes pictures", "image/png")


def test_a_picture_for_a_text_model_is_a_415_that_says_what_is_accepted(gateway: Caller) -> None:
    is_a_problem(gateway.ask(MOODS_CLASSIFY, RED, JPEG), 415, "takes texts", "text/plain")


def test_of_several_the_one_of_the_wrong_kind_is_named(gateway: Caller) -> None:
    body = json.dumps({"instances": ["good", {"b64": "AAAA"}]})
    answer = gateway.ask(MOODS_CLASSIFY, body, JSON)

    is_a_problem(answer, 415, "takes texts")
    assert answer.json["index"] == 1


def test_a_compressed_body_is_a_415(gateway: Caller) -> None:
    is_a_problem(gateway.classify(RED, **{"Content-Encoding": "gzip"}), 415, "gzip")


@pytest.mark.parametrize(
    ("text", "words"),
    [(" \n\t ", ["word"]), ("<br><br>", ["word"]), ("good " * 1000, ["2000"])],
    ids=["blank", "markup-only", "too-long"],
)
def test_a_text_with_nothing_to_read_or_too_much_is_a_422(gateway: Caller, text: str, words: list[str]) -> None:
    is_a_problem(gateway.ask(MOODS_CLASSIFY, text, TEXT), 422, *words)


@pytest.mark.parametrize("body", ['{"instances": []}', '{"instances": ["", "good"]}'])
def test_nothing_to_classify_is_a_422(gateway: Caller, body: str) -> None:
    is_a_problem(gateway.ask(MOODS_CLASSIFY, body, JSON), 422)


def test_an_empty_body_is_a_422(gateway: Caller) -> None:
    is_a_problem(gateway.ask(COLORS_CLASSIFY, b"", JPEG), 422)


def test_more_items_than_allowed_are_a_422_that_says_how_many_are(gateway: Caller) -> None:
    body, headers = form(*[("a", "image/jpeg", RED)] * 9)
    is_a_problem(gateway.ask(COLORS_CLASSIFY, body, headers), 422, "8")


def test_json_of_very_many_lists_is_a_422_before_it_is_read(gateway: Caller) -> None:
    is_a_problem(gateway.ask(MOODS_CLASSIFY, '{"instances": [' + "[]," * 65_536 + "[]]}", JSON), 422, "65536 lists")


def test_a_form_of_very_many_parts_is_a_422_before_the_rest_is_read(gateway: Caller) -> None:
    body, headers = form(*[("a", "image/jpeg", b"")] * 1001)
    is_a_problem(gateway.ask(COLORS_CLASSIFY, body, headers), 422, "more than 8 items")


def test_a_form_that_begins_with_something_else_is_a_400(gateway: Caller) -> None:
    body, headers = form(("a", "image/jpeg", RED))
    assert gateway.ask(COLORS_CLASSIFY, b"a few words for people\r\n" + body, headers).labels == ["red"]
    is_a_problem(gateway.ask(COLORS_CLASSIFY, b"\r\n" * 10_000 + body, headers), 400, "boundary")


def test_a_charset_that_nobody_knows_is_not_remembered(gateway: Caller) -> None:
    before = len(encodings._cache)
    for name in ("x-nobody-0", "x-nobody-1", "utf_________8", "utf----------------8"):
        answer = gateway.ask(MOODS_CLASSIFY, "good", {"Content-Type": f"text/plain; charset={name}"})
        assert answer.status == (415 if "nobody" in name else 200)

    assert len(encodings._cache) == before


def test_a_text_that_is_not_utf8_is_a_400(gateway: Caller) -> None:
    is_a_problem(gateway.ask(MOODS_CLASSIFY, b"\xff\xfe good", TEXT), 400, "UTF-8")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Overloaded("the queue is full"), 503),
        (Unavailable("the model server is away"), 503),
        (DeadlineExceeded("too late"), 504),
        (Unimplemented("install TensorFlow"), 501),
        (DataLoss("damaged"), 500),
        (ServingError("?"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_upstream_keeps_its_meaning(serve: Serve, failure: ServingError, status: int) -> None:
    upstream = Classifiers(COLORS)
    caller = serve(upstream)
    upstream.before_answer = Failing(failure)

    is_a_problem(caller.classify(RED), status, failure.message)


def test_a_fault_of_our_own_tells_the_caller_no_more_than_the_request_id(serve: Serve) -> None:
    def broken() -> None:
        raise RuntimeError("secret path /etc/passwd")

    upstream = Classifiers(COLORS)
    caller = serve(upstream)
    upstream.before_answer = broken
    answer = caller.classify(RED)

    is_a_problem(answer, 500)
    assert "secret" not in answer.body.decode()


def test_after_all_that_it_still_serves(gateway: Caller) -> None:
    assert gateway.classify(RED).labels == ["red"]
