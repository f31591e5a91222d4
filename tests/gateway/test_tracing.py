"""Spans for an OpenTelemetry collector: a real one of sockets, a dead one, a silent one, and none."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from serving.errors import ServingError
from serving.gateway.config import ConfigError, GatewayConfig
from serving.gateway.server import Gateway
from tests.gateway.caller import RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers, Failing
from tests.gateway.test_observing import PARENT
from tests.processes import CHECKOUT

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs OpenTelemetry: make install"
)


class Collector(BaseHTTPRequestHandler):
    """Takes OTLP over HTTP and keeps what it is sent."""

    requests: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        self.requests.append(trace_service.ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[str]:
    """Its endpoint."""
    Collector.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Wait for what the SDK still tries after its gateway was stopped: the next test has this process to itself."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(30)


def sent(
    endpoint: str, *asked: dict[str, str], body: bytes = RED, before_answer: Callable[[], None] = lambda: None
) -> list[Any]:
    """All spans of a gateway that answered so many requests and was stopped."""
    config = GatewayConfig.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, port=0, access_log=False)
    upstream = Classifiers(COLORS, MOODS)
    upstream.before_answer = before_answer
    with Gateway(config, upstream) as gateway, Caller(gateway) as caller:
        for headers in asked:
            caller.classify(body, **headers)
        caller.ask("/livez")
    return [
        span
        for request in Collector.requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def facts(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_is_a_span_under_its_callers(collector: str) -> None:
    spans = sent(collector, {"traceparent": PARENT, "X-Request-Id": "me-1"})
    (whole,) = [span for span in spans if span.name == "classify colors"]

    assert whole.trace_id.hex() == PARENT[3:35]
    assert whole.parent_span_id.hex() == PARENT[36:52]
    assert facts(whole)["slipway.request_id"] == "me-1"
    assert facts(whole)["http.response.status_code"] == 200
    assert (facts(whole)["slipway.version"], facts(whole)["slipway.kind"]) == (1, "raw")
    assert whole.start_time_unix_nano < whole.end_time_unix_nano


def test_its_stages_are_its_children_in_their_order(collector: str) -> None:
    spans = sent(collector, {})
    (whole,) = [span for span in spans if span.name == "classify colors"]
    stages = sorted((span for span in spans if span is not whole), key=lambda span: span.start_time_unix_nano)

    assert [span.name for span in stages] == ["read", "queue", "decode", "predict", "encode"]
    assert {span.parent_span_id for span in stages} == {whole.span_id}
    assert whole.parent_span_id == b""
    assert stages[0].start_time_unix_nano == whole.start_time_unix_nano
    assert stages[-1].end_time_unix_nano <= whole.end_time_unix_nano


def test_the_gateway_says_who_it_is_and_nothing_of_what_was_sent(collector: str) -> None:
    sent(collector, {"Authorization": "Bearer secret"}, body=b"a private picture")
    (request, *_) = Collector.requests
    (service,) = [
        each.value.string_value for each in request.resource_spans[0].resource.attributes if each.key == "service.name"
    ]

    assert service == "slipway-gateway"
    assert b"secret" not in request.SerializeToString()
    assert b"private" not in request.SerializeToString()


def test_a_fault_is_an_error(collector: str) -> None:
    spans = sent(collector, {}, before_answer=Failing(ServingError("broken")))
    (failed,) = [span for span in spans if span.name.startswith("classify")]

    assert (failed.status.code, failed.status.message) == (2, "INTERNAL")
    assert facts(failed)["http.response.status_code"] == 500


def test_a_refusal_is_none(collector: str) -> None:
    (refused,) = [span for span in sent(collector, {}, body=b"junk") if span.name.startswith("classify")]

    assert refused.status.code == 0
    assert facts(refused)["slipway.code"] == "INVALID_ARGUMENT"


def test_a_caller_that_does_not_sample_is_not_traced(collector: str) -> None:
    assert sent(collector, {"traceparent": f"{PARENT[:-2]}00"}) == []


def test_a_dead_collector_fails_no_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = GatewayConfig(port=0, access_log=False, trace_endpoint=f"http://127.0.0.1:{port}/v1/traces")
    with Gateway(config, Classifiers(COLORS)) as gateway, Caller(gateway) as caller:
        assert [caller.classify(RED).status for _ in range(20)] == [200] * 20


def test_a_silent_collector_fails_no_request_and_the_gateway_ends(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    config = GatewayConfig(port=0, access_log=False, trace_endpoint=f"{silent}/v1/traces")
    with Gateway(config, Classifiers(COLORS)) as gateway, Caller(gateway) as caller:
        assert [caller.classify(RED).status for _ in range(20)] == [200] * 20


def program(text: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


WITHOUT = "import sys; sys.modules['opentelemetry'] = None; sys.argv[1:] = ['--port', '0']\n"


def test_without_the_extra_a_configured_collector_is_a_sentence_that_says_what_to_install() -> None:
    text = WITHOUT + "from serving.gateway.__main__ import main; main()"
    ended = program(text, GATEWAY_TRACE_ENDPOINT="http://127.0.0.1:4318/v1/traces")

    assert ended.returncode == 2
    assert "pip install 'slipway[otel]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_the_extra_a_collector_of_the_whole_cluster_is_a_warning() -> None:
    text = WITHOUT + "from serving.gateway.config import GatewayConfig; print(GatewayConfig.from_env().trace_endpoint)"
    ended = program(text, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")

    assert ended.stdout == "None\n"
    assert "no traces are sent to http://127.0.0.1:4318/v1/traces: pip install 'slipway[otel]'" in ended.stderr


def test_nothing_of_it_is_loaded_where_no_collector_is_configured() -> None:
    text = (
        "import sys\n"
        "from serving.gateway.config import GatewayConfig\n"
        "from serving.gateway.server import Gateway\n"
        "from tests.gateway.classifiers import COLORS, Classifiers\n"
        "with Gateway(GatewayConfig(port=0), Classifiers(COLORS)): pass\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    ended = program(text)

    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"}, "http://c/t"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "GATEWAY_TRACE_ENDPOINT": "http://e/t"}, "http://e/t"),
    ],
)
def test_the_collector_is_found_where_every_sdk_looks(env: dict[str, str], endpoint: str | None) -> None:
    assert GatewayConfig.from_env(env).trace_endpoint == endpoint


def test_a_collector_that_is_no_url_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="trace_endpoint"):
        GatewayConfig(trace_endpoint="collector:4318")
