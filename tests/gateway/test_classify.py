"""What people send and what they get back, over real HTTP."""

import base64
import json

import pytest

from tests.gateway.caller import (
    BLUE,
    COLORS_CLASSIFY,
    GREEN,
    JPEG,
    JSON,
    MOODS_CLASSIFY,
    RED,
    Caller,
    form,
    picture,
)


def instances(*items: object) -> str:
    return json.dumps({"instances": items})


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_raw_picture_of_every_kind_gets_its_label(gateway: Caller, kind: str) -> None:
    answer = gateway.ask(COLORS_CLASSIFY, picture("green", kind), {"Content-Type": f"image/{kind.lower()}"})

    assert answer.status == 200
    assert answer.labels == ["green"]


@pytest.mark.parametrize("kind", [{}, {"Content-Type": "application/octet-stream"}, {"Content-Type": "IMAGE/JPG"}])
def test_a_picture_without_a_precise_type_is_looked_at_all_the_same(gateway: Caller, kind: dict[str, str]) -> None:
    assert gateway.ask(COLORS_CLASSIFY, RED, kind).labels == ["red"]


def test_the_answer_says_which_version_gave_it_how_sure_it_is_and_where_the_time_went(gateway: Caller) -> None:
    answer = gateway.classify(RED, **{"X-Request-Id": "mine-1"})

    found = answer.json
    assert (found["model"], found["version"], found["request_id"]) == ("colors", 1, "mine-1")
    assert answer.headers["x-request-id"] == "mine-1"
    assert set(found["timing_ms"]) == {"decode", "queue", "predict", "total"}
    [prediction] = found["predictions"]
    assert next(entry["label"] for entry in prediction["top"]) == prediction["label"] == "red"
    assert sum(entry["probability"] for entry in prediction["top"]) == pytest.approx(1, abs=1e-5)
    shares = [entry["probability"] for entry in prediction["top"]]
    assert shares == sorted(shares, reverse=True)


def test_several_files_of_a_form_are_answered_in_their_order(gateway: Caller) -> None:
    body, headers = form(("b", "image/jpeg", BLUE), ("a", "image/jpeg", RED), ("b", "image/jpeg", GREEN))

    assert gateway.ask(COLORS_CLASSIFY, body, headers).labels == ["blue", "red", "green"]


def test_pictures_may_come_as_base64_in_json(gateway: Caller) -> None:
    assert gateway.ask(COLORS_CLASSIFY, instances(b64(GREEN), b64(BLUE)), JSON).labels == ["green", "blue"]


def test_a_plain_text_gets_its_label(gateway: Caller) -> None:
    assert gateway.classify("what a good film", model="moods").labels == ["good"]


def test_texts_may_come_in_json_and_in_a_form(gateway: Caller) -> None:
    assert gateway.ask(MOODS_CLASSIFY, instances("good", {"text": "dull"}), JSON).labels == ["good", "bad"]
    body, headers = form(("text", "text/plain; charset=utf-8", "so good ☺".encode()))
    assert gateway.ask(MOODS_CLASSIFY, body, headers).labels == ["good"]


@pytest.mark.parametrize("extra", [f'; filename="{"x" * 20_000}"', "\r\nX: y" * 4000], ids=["name", "headers"])
def test_a_part_with_a_head_without_end_is_a_400(gateway: Caller, extra: str) -> None:
    body, headers = form((f'text"{extra}; a="', "text/plain", b"good"))
    answer = gateway.ask(MOODS_CLASSIFY, body, headers)

    assert (answer.status, "more than 16384 bytes" in answer.json["detail"]) == (400, True)


def test_a_boundary_beyond_latin_1_is_a_400(gateway: Caller) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary*=utf-8''%e2%82%ac"}
    assert gateway.ask(MOODS_CLASSIFY, b"--x--\r\n", kind).status == 400


@pytest.mark.parametrize("codec", ["punycode", "idna", "unicode_escape", "zip", "none"])
def test_a_codec_that_is_no_charset_is_a_415(gateway: Caller, codec: str) -> None:
    answer = gateway.ask(MOODS_CLASSIFY, b"good", {"Content-Type": f"text/plain; charset={codec}"})

    assert (answer.status, answer.json["detail"]) == (415, f"the charset '{codec}' is not known; send UTF-8")


def test_the_charset_of_a_text_is_honored(gateway: Caller) -> None:
    answer = gateway.ask(MOODS_CLASSIFY, "é good".encode("utf-16"), {"Content-Type": "text/plain; charset=utf-16"})

    assert answer.labels == ["good"]


def test_top_limits_the_labels_that_come_back(gateway: Caller) -> None:
    [prediction] = gateway.classify(RED, "?top=2").json["predictions"]

    assert len(prediction["top"]) == 2


def test_more_than_all_labels_are_all_labels(gateway: Caller) -> None:
    [prediction] = gateway.classify(RED, "?top=999").json["predictions"]

    assert len(prediction["top"]) == 3


def test_with_partial_the_good_ones_are_answered_and_the_bad_one_is_named(gateway: Caller) -> None:
    body, headers = form(("a", "image/jpeg", RED), ("b", "image/jpeg", b"no picture"), ("c", "image/jpeg", BLUE))

    answer = gateway.ask(f"{COLORS_CLASSIFY}?partial=true", body, headers)

    first, second, third = answer.json["predictions"]
    assert (answer.status, first["label"], third["label"]) == (200, "red", "blue")
    assert (second["error"]["status"], second["error"]["index"]) == (400, 1)


def test_without_partial_one_bad_picture_refuses_all_and_is_named(gateway: Caller) -> None:
    body, headers = form(("a", "image/jpeg", RED), ("b", "image/jpeg", b"no picture"))

    answer = gateway.ask(COLORS_CLASSIFY, body, headers)

    assert (answer.status, answer.json["index"]) == (400, 1)


def test_all_bad_with_partial_is_an_answer_of_problems_only(gateway: Caller) -> None:
    answer = gateway.classify(b"no picture", "?partial=true")

    assert answer.status == 200
    assert [entry["error"]["status"] for entry in answer.json["predictions"]] == [400]


def test_a_chunked_body_is_as_good_as_one_with_a_length(gateway: Caller) -> None:
    with gateway.connect() as connection:
        connection.sendall(
            f"POST {COLORS_CLASSIFY} HTTP/1.1\r\nHost: g\r\nContent-Type: image/jpeg\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
        )
        for start in range(0, len(RED), 100):
            part = RED[start : start + 100]
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert b'"label":"red"' in connection.makefile("rb").read()


def test_the_listing_has_every_model_its_task_labels_and_versions(gateway: Caller) -> None:
    found = {entry["name"]: entry for entry in gateway.ask("/v1/models").json["models"]}

    assert set(found) == {"colors", "moods", "plain"}
    assert found["colors"]["labels"] == ["red", "green", "blue"]
    assert found["moods"]["task"] == "text_classification"
    assert found["plain"]["task"] is None
    assert found["colors"]["versions"] == [{"version": 1, "state": "AVAILABLE"}]


def test_a_model_shows_its_card_and_its_state_as_tensorflow_serving_says_it(gateway: Caller) -> None:
    found = gateway.ask("/v1/models/colors").json

    assert found["card"]["labels"] == ["red", "green", "blue"]
    assert found["model_version_status"] == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]


def test_a_deadline_in_the_header_travels_to_the_back_end(gateway: Caller) -> None:
    assert gateway.classify(RED, **{"X-Request-Timeout": "30"}).status == 200


def test_kept_connections_serve_many_requests(gateway: Caller) -> None:
    request = (
        f"POST {COLORS_CLASSIFY} HTTP/1.1\r\nHost: g\r\nContent-Type: {JPEG['Content-Type']}\r\n"
        f"Content-Length: {len(RED)}\r\n\r\n".encode()
    )
    with gateway.connect() as connection:
        connection.sendall((request + RED) * 2)  # pipelined
        connection.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + RED)
        answers = connection.makefile("rb").read()
    assert answers.count(b"HTTP/1.1 200") == 3
