"""What the library answers, over HTTP and gRPC alike, from real servers."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from clients.answers import Anomaly, Classification
from clients.client import Client, Picture
from clients.grpc_client import GrpcClient
from clients.http_client import HttpClient
from serving.card import ImageInput
from serving.errors import (
    BadInput,
    NoCard,
    NotFound,
    ServingError,
    TooMuchToProcess,
    Unavailable,
    UnsupportedKind,
)
from tests.clients.conftest import MODELS, Servers
from tests.preprocess.pictures import encoded, flat, png

RED, GREEN, BLUE = (encoded(flat(color), "JPEG") for color in ("red", "lime", "blue"))


def labels(outcomes: list[Classification]) -> list[str]:
    return [outcome.label for outcome in outcomes]


def test_pictures_are_answered_in_their_order(client: Client) -> None:
    answers = client.classify([RED, GREEN, BLUE] * 7, "tiny_image")

    assert labels(answers) == ["red", "green", "blue"] * 7
    assert {(answer.model, answer.version) for answer in answers} == {("tiny_image", 1)}
    assert answers[0].probability > 0.99


def test_paths_and_bytes_may_be_mixed(client: Client, tmp_path: Path) -> None:
    (tmp_path / "green").write_bytes(GREEN)

    assert labels(client.classify([BLUE, tmp_path / "green"], "tiny_image")) == ["blue", "green"]


def test_texts_are_answered_in_their_order(client: Client) -> None:
    texts = ["a lovely good film", "awful and dull"] * 20

    assert labels(client.review(texts, "tiny_text")) == ["pos", "neg"] * 20


def test_top_says_how_many_labels_come_back_best_first(client: Client) -> None:
    both, one = (client.classify([RED], "tiny_image", top=top)[0].top for top in (2, 1))

    assert len(both) == 2
    assert both[0].probability >= both[1].probability
    assert [ranked.label for ranked in one] == ["red"]


def test_a_bad_item_takes_its_own_place_and_spoils_no_other(client: Client, tmp_path: Path) -> None:
    pictures: list[Picture] = [RED, b"no picture", tmp_path / "missing", BLUE]
    outcomes = list(client.classify_each(pictures, "tiny_image"))

    assert [type(outcome) for outcome in outcomes] == [Classification, BadInput, BadInput, Classification]
    assert "cannot be read" in str(outcomes[2])


def test_an_empty_text_takes_its_own_place_and_spoils_no_other(client: Client) -> None:
    outcomes = list(client.review_each(["good", "", "bad"], "tiny_text"))

    assert [outcome.label for outcome in outcomes if isinstance(outcome, Classification)] == ["pos", "neg"]
    assert isinstance(outcomes[1], BadInput)


def test_classify_raises_what_classify_each_hands_over(client: Client) -> None:
    with pytest.raises(BadInput, match="not a picture"):
        client.classify([RED, b"no picture"], "tiny_image")


def test_no_items_no_answers(client: Client) -> None:
    assert client.classify([], "tiny_image") == []
    assert client.review([], "tiny_text") == []


def test_an_unknown_model_or_version_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="unicorn"):
        client.classify([RED], "unicorn")
    with pytest.raises(NotFound):
        client.classify([RED], "tiny_image", version=7)
    with pytest.raises(NotFound, match="unicorn"):
        client.status("unicorn")


def test_a_given_version_answers(client: Client) -> None:
    assert client.classify([RED], "tiny_image", version=1)[0].version == 1


def test_the_wrong_kind_of_item_is_an_unsupported_kind(client: Client) -> None:
    with pytest.raises(UnsupportedKind):
        client.review(["a text"], "tiny_image")


def test_the_card_says_what_the_version_promises(client: Client) -> None:
    card = client.card("tiny_image")

    assert card.labels == ("red", "green", "blue")
    assert isinstance(card.input, ImageInput)


def test_status_names_versions_states_task_and_labels(client: Client) -> None:
    (model,) = client.status("tiny_text")

    assert (model.name, model.task, model.available) == ("tiny_text", "text_classification", (1,))
    assert set(model.labels) == {"neg", "pos"}


def test_without_a_name_http_takes_the_model_of_the_right_task(servers: Servers) -> None:
    with HttpClient(servers.gateway) as client:
        assert {model.name for model in client.status()} == set(MODELS)
        assert client.classify([RED])[0].model == "tiny_image"
        assert client.review(["good"])[0].model == "tiny_text"


def test_without_a_name_grpc_asks_for_default(servers: Servers) -> None:
    with GrpcClient(servers.grpc) as client, pytest.raises(NotFound, match="default"):
        client.classify([RED])


@pytest.mark.parametrize("door", ["rest", "grpc"])
def test_arrays_go_in_and_come_out_with_their_types(servers: Servers, door: str) -> None:
    pictures = np.zeros((2, 32, 32, 3), np.uint8)
    pictures[1, ..., 2] = 255

    with HttpClient(servers.rest) if door == "rest" else GrpcClient(servers.grpc) as client:
        outputs = client.predict({"image": pictures}, "tiny_image")
        card = client.predict({"request": np.zeros(1, np.int32)}, "tiny_image", signature="card")

    assert outputs["probabilities"].dtype == np.float32
    assert outputs["probabilities"].shape == (2, 3)
    assert outputs["probabilities"][1].argmax() == 2
    assert b'"tiny_image"' in card["card"][0]


@pytest.mark.parametrize("door", ["rest", "grpc"])
def test_strings_travel_as_bytes(servers: Servers, door: str) -> None:
    texts = np.array([b"good", "größartig".encode()], dtype=object)

    with HttpClient(servers.rest) if door == "rest" else GrpcClient(servers.grpc) as client:
        assert client.predict({"text": texts}, "tiny_text")["probabilities"].shape == (2, 2)


@pytest.mark.parametrize("door", ["rest", "grpc"])
def test_a_wrong_array_is_bad_input(servers: Servers, door: str) -> None:
    with HttpClient(servers.rest) if door == "rest" else GrpcClient(servers.grpc) as client:
        with pytest.raises(ServingError) as refused:
            client.predict({"picture": np.zeros(3, np.float32)}, "tiny_image")
        assert isinstance(refused.value, BadInput)


def test_a_model_without_a_card_is_a_refusal_that_says_how_to_make_one(no_card: str) -> None:
    with GrpcClient(no_card) as client, pytest.raises(NoCard, match="python -m training import"):
        client.classify([RED], "half_plus_two")


def test_a_picture_over_the_cap_is_refused_before_it_is_sent(servers: Servers) -> None:
    huge = png(8000, 6000, color=2, body=zlib.compress(bytes(1000)))

    with GrpcClient(servers.grpc) as client, pytest.raises(TooMuchToProcess, match="8000x6000"):
        client.classify([huge], "tiny_image")


def test_nobody_there_is_unavailable_and_says_where(unused_port: int) -> None:
    with HttpClient(f"http://127.0.0.1:{unused_port}", timeout_s=10) as client, pytest.raises(Unavailable) as over_http:
        client.status()
    with GrpcClient(f"127.0.0.1:{unused_port}", timeout_s=10) as asking, pytest.raises(Unavailable) as over_grpc:
        asking.status("any")

    for refused in (over_http, over_grpc):
        assert str(unused_port) in str(refused.value)


def test_a_model_that_measures_anomalies_hands_them_over(client: Client) -> None:
    red, grey = client.classify([RED, encoded(flat("grey"), "JPEG")], "tiny_watchful")

    assert isinstance(red.anomaly, Anomaly)
    assert isinstance(grey.anomaly, Anomaly)
    assert (red.anomaly.flagged, grey.anomaly.flagged) == (False, True)
    assert grey.anomaly.score > grey.anomaly.threshold == 0.6
    assert "anomaly" in grey.as_json()


def test_a_model_that_measures_none_says_nothing_of_them(client: Client) -> None:
    answer = client.classify([RED], "tiny_image")[0]

    assert answer.anomaly is None
    assert "anomaly" not in answer.as_json()
