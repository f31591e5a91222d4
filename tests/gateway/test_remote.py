"""In front of a real model server over gRPC: versions, cards, labels, and a back end that goes away."""

import shutil
import socket
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.errors import DeadlineExceeded, NoCard, NotFound, Unavailable
from serving.gateway.breaker import FAILURES, OPEN_S, CircuitBreaker, RetryBudget
from serving.gateway.fresh import Fresh
from serving.gateway.remote import RemoteUpstream
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.gateway.caller import BLUE, JPEG, RED, TEXT, Caller
from tests.gateway.conftest import Serve
from tests.waiting import until

MODELS = ("tiny_image", "tiny_text", "tiny_watchful", "half_plus_two")


@pytest.fixture(scope="module")
def store(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four models; one has two versions and a label, one has no card."""
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        version = next(entry for entry in sorted((saved_models / name).iterdir()) if entry.name.isdigit())
        shutil.copytree(version, root / name / "1")
    return root


@pytest.fixture(scope="module")
def model_server(store: Path) -> Iterator[ModelServer]:
    with ModelServer(ServerConfig(models_root=store, grpc_port=0)) as server:
        for name in MODELS:
            server.wait_until_available(name, timeout_s=60)
        yield server


@pytest.fixture
def upstream(model_server: ModelServer) -> Iterator[RemoteUpstream]:
    found = RemoteUpstream(f"dns:///127.0.0.1:{model_server.grpc_port}", models=("tiny_image",))
    yield found
    found.close()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def caller(serve: Serve, upstream: RemoteUpstream) -> Caller:
    return serve(upstream, models=("tiny_image",))


def test_pictures_and_texts_are_answered_by_the_model_server(caller: Caller) -> None:
    assert caller.ask("/v1/models/tiny_image/classify", RED, JPEG).labels == ["red"]
    assert caller.ask("/v1/models/tiny_image/classify", BLUE, JPEG).labels == ["blue"]
    assert caller.ask("/v1/models/tiny_text/classify", "a great film", TEXT).labels == ["pos"]
    assert caller.ask("/v1/models/tiny_text/classify", "an awful film", TEXT).labels == ["neg"]


def test_a_model_that_measures_strangeness_says_so_over_the_wire_too(caller: Caller) -> None:
    answer = caller.ask("/v1/models/tiny_watchful/classify", RED, JPEG).json["predictions"][0]["anomaly"]

    assert set(answer) == {"score", "threshold", "flagged"}
    assert answer["flagged"] is (answer["score"] > answer["threshold"])


def test_it_becomes_ready_and_lists_what_is_configured_and_what_was_asked_for(caller: Caller) -> None:
    until(lambda: caller.ask("/readyz").status == 200)
    caller.ask("/v1/models/tiny_text/classify", "great", TEXT)

    assert [entry["name"] for entry in caller.ask("/v1/models").json["models"]] == ["tiny_image", "tiny_text"]


def test_a_model_that_is_not_there_is_a_404(caller: Caller) -> None:
    assert caller.ask("/v1/models/unicorn/classify", RED, JPEG).status == 404
    assert caller.ask("/v1/models/tiny_image/classify?version=9", RED, JPEG).status == 404
    assert caller.ask("/v1/models/tiny_image/classify?label=nope", RED, JPEG).status == 404


def test_a_model_without_a_card_is_a_409(caller: Caller) -> None:
    answer = caller.ask("/v1/models/half_plus_two/classify", RED, JPEG)

    assert (answer.status, "python -m training import" in answer.json["detail"]) == (409, True)


def test_the_card_is_what_the_version_itself_says(upstream: RemoteUpstream) -> None:
    card = upstream.card("tiny_image")

    assert (card.labels, card.version) == (("red", "green", "blue"), 1)
    assert upstream.card("tiny_image") is card
    with pytest.raises(NoCard):
        upstream.card("half_plus_two")
    with pytest.raises(NotFound):
        upstream.card("unicorn")


def test_nobody_there_is_a_503_at_once_and_the_circuit_opens(serve: Serve, unused_port: int) -> None:
    upstream = RemoteUpstream(f"127.0.0.1:{unused_port}")
    caller = serve(upstream)
    answers = [caller.ask("/v1/models/tiny_image/classify", RED, JPEG) for _ in range(FAILURES + 1)]

    assert {answer.status for answer in answers} == {503}
    assert all("retry-after" in answer.headers for answer in answers)
    assert upstream.channel.breaker.state() != "closed"
    upstream.close()


def test_a_back_end_that_comes_back_is_used_again(serve: Serve, store: Path, unused_port: int) -> None:
    config = ServerConfig(models_root=store, grpc_port=unused_port)
    upstream = RemoteUpstream(f"dns:///127.0.0.1:{unused_port}")
    caller = serve(upstream)

    def status() -> int:
        return caller.ask("/v1/models/tiny_image/classify", RED, JPEG).status

    with ModelServer(config) as server:
        server.wait_until_available("tiny_image", 60)
        until(lambda: status() == 200)
    until(lambda: status() == 503)
    with ModelServer(config) as server:
        server.wait_until_available("tiny_image", 60)
        until(lambda: status() == 200)
    upstream.close()


def test_a_call_without_time_left_is_not_made(upstream: RemoteUpstream) -> None:
    card = upstream.card("tiny_text")
    with pytest.raises(DeadlineExceeded):
        upstream.predict("tiny_text", card.version, "serving_default", {}, time.monotonic() - 1)


def test_a_circuit_opens_after_failures_in_a_row_and_lets_one_probe_through_later() -> None:
    breaker = CircuitBreaker()
    for _ in range(FAILURES):
        breaker.enter()
        breaker.failed()
    with pytest.raises(Unavailable):
        breaker.enter()
    assert breaker._opened_at is not None
    breaker._opened_at -= OPEN_S
    breaker.enter()
    with pytest.raises(Unavailable):
        breaker.enter()
    breaker.succeeded()
    breaker.enter()
    assert breaker.state() == "closed"


def test_failures_with_successes_between_them_open_nothing() -> None:
    breaker = CircuitBreaker()
    for _ in range(5 * FAILURES):
        breaker.failed()
        breaker.succeeded()

    assert breaker.state() == "closed"


def test_retries_are_a_share_of_what_goes_well() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    assert budget.spent == 10
    for _ in range(11):
        budget.earn()
    assert budget.spend()
    assert not budget.spend()


def test_a_miss_that_is_remembered_holds_nothing_of_the_request_that_met_it() -> None:
    remembered: Fresh[int] = Fresh(60, 60, 10)
    bodies: list[weakref.ref[set[int]]] = []

    def load() -> int:
        raise NotFound("there is no model unicorn")

    def ask() -> None:
        body = {7}
        bodies.append(weakref.ref(body))
        with pytest.raises(NotFound, match="unicorn"):
            remembered.get("unicorn", load)

    ask()
    ask()
    assert [body() for body in bodies] == [None, None]
