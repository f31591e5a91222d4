"""The model server's REST on the gateway's port: the same answers as on its own, and what the gateway adds."""

import gzip
import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from clients.http_client import HttpClient
from serving.embedded import EmbeddedUpstream
from serving.errors import BadInput, Unavailable
from serving.gateway.breaker import FAILURES
from serving.gateway.config import ConfigError, GatewayConfig
from serving.gateway.passage import Passage, passage
from serving.gateway.remote import RemoteUpstream
from serving.gateway.rest_proxy import RestProxy
from serving.gateway.server import Gateway
from serving.gateway.upstream import RestCall
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.gateway.caller import JSON, Answered, Caller
from tests.gateway.classifiers import COLORS, Classifiers
from tests.gateway.conftest import Serve
from tests.gateway.test_observing import samples

MODEL = "half_plus_two"
PREDICT = f"/v1/models/{MODEL}:predict"
INFER = f"/v2/models/{MODEL}/infer"
ASKED = '{"instances": [1.0, 2.0, 5.0]}'
INFERRED = '{"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}]}'


@pytest.fixture(scope="module")
def model_server(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    root = tmp_path_factory.mktemp("models")
    version = next(entry for entry in sorted((saved_models / MODEL).iterdir()) if entry.name.isdigit())
    shutil.copytree(version, root / MODEL / "1")
    with ModelServer(ServerConfig(models_root=root, grpc_port=0, rest_port=0)) as server:
        server.wait_until_available(MODEL, timeout_s=60)
        yield server


@pytest.fixture(scope="module", params=["embedded", "remote"])
def caller(model_server: ModelServer, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A gateway of each kind in turn."""
    if request.param == "embedded":
        upstream: EmbeddedUpstream | RemoteUpstream = EmbeddedUpstream(model_server.manager)
    else:
        rest = f"http://127.0.0.1:{model_server.rest_port}"
        upstream = RemoteUpstream(f"127.0.0.1:{model_server.grpc_port}", models=(MODEL,), rest=rest)
    with Gateway(GatewayConfig(port=0, access_log=False), upstream) as gateway:
        yield Caller(gateway)
    upstream.close()


def direct(server: ModelServer, *given: object) -> Answered:
    """The same question on the model server's own port."""

    class Port:
        port = server.rest_port

    return Caller(Port()).ask(*given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", PREDICT, ASKED),
        ("POST", f"/v1/models/{MODEL}/versions/1:predict", ASKED),
        ("POST", f"/V1/Models/{MODEL}:Predict", ASKED),
        ("POST", "/v1/models/half%5Fplus_two:predict", ASKED),
        ("POST", f"/v1/models/{MODEL}:predict?x=1", ASKED),
        ("POST", f"/v1/models/{MODEL}:regress", '{"examples": [{"x": 2.0}]}'),
        ("POST", PREDICT, '{"instances": ["text"]}'),
        ("POST", PREDICT, "{"),
        ("POST", f"/v1/models/{MODEL}:guess", ASKED),
        ("POST", f"/v1/models/{MODEL}/versions/9:predict", ASKED),
        ("POST", f"/v1/models/{MODEL}/labels/canary:predict", ASKED),
        ("POST", "/v1/models/unicorn:predict", ASKED),
        ("POST", "/v1/models/uni%2Fcorn:predict", ASKED),
        ("GET", f"/v1/models/{MODEL}/metadata", None),
        ("GET", f"/v1/models/{MODEL}/versions/1", None),
        ("GET", f"/v1/models/{MODEL}/versions/1/metadata", None),
        ("GET", f"/v1/models/{MODEL}/versions/9", None),
        ("GET", f"/v1/models/{MODEL}/versions/99999999999999999999", None),
        ("GET", PREDICT, None),
        ("DELETE", PREDICT, None),
        ("GET", "/v2", None),
        ("GET", "/v2/health/live", None),
        ("GET", "/v2/health/ready", None),
        ("GET", f"/v2/models/{MODEL}", None),
        ("GET", f"/v2/models/{MODEL}/ready", None),
        ("GET", "/v2/models/unicorn/ready", None),
        ("POST", INFER, INFERRED),
        ("POST", f"/v2/models/{MODEL}/versions/1/infer", INFERRED),
        ("POST", INFER, '{"inputs": []}'),
        ("GET", INFER, None),
    ],
)
def test_status_body_and_type_are_those_of_the_model_server(
    caller: Caller, model_server: ModelServer, method: str, path: str, body: str | None
) -> None:
    expected, found = (asked(path, body, JSON, method) for asked in (lambda *a: direct(model_server, *a), caller.ask))

    assert (found.status, found.body) == (expected.status, expected.body)
    assert found.headers["content-type"] == expected.headers["content-type"]


def test_tensors_may_be_binary(caller: Caller) -> None:
    given = np.array([1, 2, 5], "<f4").tobytes()
    described = {"name": "x", "shape": [3, 1], "datatype": "FP32", "parameters": {"binary_data_size": len(given)}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()

    answer = caller.ask(INFER, head + given, {"Inference-Header-Content-Length": str(len(head))})

    size = int(answer.headers["inference-header-content-length"])
    assert np.frombuffer(answer.body[size:], "<f4").tolist() == [2.5, 3.0, 4.5]


def test_a_body_may_be_gzip(caller: Caller) -> None:
    answer = caller.ask(PREDICT, gzip.compress(ASKED.encode()), JSON | {"Content-Encoding": "gzip"})

    assert answer.json == {"predictions": [2.5, 3.0, 4.5]}


def test_our_client_s_predict_works_against_the_gateway(caller: Caller) -> None:
    with HttpClient(caller.gateway.url) as client:
        answer = client.predict({"x": np.array([1, 2], np.float32)}, MODEL)
        assert answer["y"].tolist() == [2.5, 3.0]
        assert client.predict({"x": np.array([5], np.float32)}, MODEL, version=1)["y"].tolist() == [4.5]


def test_the_gateway_keeps_its_own_two_paths(caller: Caller) -> None:
    assert "models" in caller.ask("/v1/models").json
    assert caller.ask(f"/v1/models/{MODEL}").json["model"] == MODEL


def test_answers_are_counted_and_have_their_request_id(caller: Caller) -> None:
    answer = caller.ask(PREDICT, ASKED, JSON | {"X-Request-Id": "mine"})
    caller.ask("/v1/models/unicorn:predict", ASKED, JSON)

    counted = samples(caller, "gateway_requests_total")
    assert answer.headers["x-request-id"] == "mine"
    assert counted[frozenset([MODEL, "", "rest", "raw", "OK", "200"])] >= 1
    assert counted[frozenset(["", "rest", "raw", "NOT_FOUND", "404"])] >= 1
    assert not any("unicorn" in labels for labels in counted)


@pytest.mark.parametrize("path", [PREDICT, PREDICT.upper().replace(MODEL.upper(), MODEL), INFER, "/V2"])
def test_without_a_key_nothing_is_handed_on(serve: Serve, model_server: ModelServer, tmp_path: Path, path: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"ann {hashlib.sha256(b'secret').hexdigest()} models=other\n")
    guarded = serve(EmbeddedUpstream(model_server.manager), api_keys=keys)

    assert guarded.ask(path, ASKED, JSON).status == 401
    assert guarded.ask(path, ASKED, JSON | {"Authorization": "Bearer secret"}).status == (400 if path == "/V2" else 403)


def test_without_a_way_to_its_rest_the_answer_names_the_option(serve: Serve) -> None:
    answer = serve(Classifiers(COLORS)).ask(PREDICT, ASKED, JSON)

    assert answer.status == 404
    assert "--upstream-rest" in answer.json["detail"]


def test_a_model_server_that_is_away_is_a_503(serve: Serve) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    upstream = RemoteUpstream(address, rest=f"http://{address}")
    answer = serve(upstream).ask(PREDICT, ASKED, JSON)
    upstream.close()

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_a_model_server_that_says_nothing_is_a_504(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        upstream = RemoteUpstream(address, rest=f"http://{address}")
        assert serve(upstream).ask(PREDICT, ASKED, JSON | {"X-Request-Timeout": "0.2"}).status == 504
        upstream.close()


def test_a_connection_that_the_model_server_has_closed_is_opened_anew(
    saved_models: Path, model_server: ModelServer, serve: Serve
) -> None:
    config = ServerConfig(base_path=saved_models / MODEL, grpc_port=0, rest_port=0, drain_s=1)
    with ModelServer(config) as first:
        port = first.rest_port
        upstream = RemoteUpstream(f"127.0.0.1:{first.grpc_port}", rest=f"http://127.0.0.1:{port}")
        caller = serve(upstream)
        assert caller.ask(PREDICT, ASKED, JSON).status == 200
    with ModelServer(ServerConfig(base_path=saved_models / MODEL, rest_port=port, drain_s=1)):
        assert caller.ask(PREDICT, ASKED, JSON).status == 200
    upstream.close()


@pytest.mark.parametrize("address", ["localhost:8501", "ftp://models", "http://", "http://models:8501/prefix"])
def test_an_address_that_cannot_be_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(ConfigError, match="upstream_rest"):
        RemoteUpstream("localhost:8500", rest=address)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/models/a:predict", Passage("a")),
        ("/v1/models/a%2Fb/versions/7:predict", Passage("a/b", 7)),
        ("/v2/models/a%2Fb/versions/7/infer", Passage("a/b", 7)),
        ("/v1/models/a/labels/x/metadata", Passage("a")),
        ("/v2/", Passage()),
        ("/v1/models", None),
        ("/v1/models/a", None),
        ("/v1/models/a/classify", None),
        ("/v1/models/a/versions/../../b:predict", None),
        ("/v2/models/a/versions/../../b/infer", None),
        ("/v2/models/a/../b/infer", None),
        ("/v22", None),
    ],
)
def test_only_paths_of_the_two_protocols_pass(path: str, found: Passage | None) -> None:
    assert passage(path) == found


def test_a_request_that_cannot_be_passed_on_says_nothing_about_the_model_server() -> None:
    proxy = RestProxy("http://127.0.0.1:9")
    whole = RestCall("GET", "/v1/models/x", {}, b"", monotonic() + 5)
    for _ in range(FAILURES - 1):
        with pytest.raises(Unavailable):
            proxy.ask(whole)

    for target in ("/v1/models/ \n", "/v1/models/\u20ac"):
        with pytest.raises(BadInput):
            proxy.ask(replace(whole, target=target))

    assert proxy.breaker.state() == "closed"
    with pytest.raises(Unavailable):
        proxy.ask(whole)
    assert proxy.breaker.state() == "open"


def test_a_browser_s_question_about_a_model_that_is_not_there_names_no_metric(caller: Caller) -> None:
    origin = {"Origin": "http://example.org", "Access-Control-Request-Method": "POST"}
    assert caller.ask("/v1/models/unicorn:predict", headers=origin, method="OPTIONS").status == 200

    assert b"unicorn" not in caller.ask("/metrics").body
