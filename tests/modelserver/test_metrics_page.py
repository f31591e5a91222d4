"""Section 14 of the protocol: the original's Prometheus page, and ours."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, Rest, grpc_to, predict_request, rest_to
from tests.modelserver.stand_ins import load, publish
from tests.modelserver.test_metadata_status import METADATA, STATUS, metadata_request, status_request

PAGE = "/monitoring/prometheus/metrics"
X = {"x": [1.0]}
SAMPLE = re.compile(r'(:[a-zA-Z0-9_:]+)(?:\{((?:[a-zA-Z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
COUNT = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"
RUNTIME = ":tensorflow:serving:runtime_latency"


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[ModelServer]:
    """A server that has counted nothing yet."""
    base_path = publish(tmp_path, "doubler", 1)
    with ModelServer(ServerConfig(base_path=base_path, grpc_port=0, rest_port=0, monitoring_path=PAGE), load) as server:
        yield server


@pytest.fixture
def channel(counted: ModelServer) -> Iterator[Grpc]:
    with grpc_to(counted) as channel:
        yield channel


@pytest.fixture
def rest(counted: ModelServer) -> Iterator[Rest]:
    with rest_to(counted) as connection:
        yield connection


def samples(rest: Rest) -> dict[str, float]:
    """Every sample of the page by its name with labels; fails on a line of another form."""
    found = {}
    for line in rest.get(PAGE).body.decode().splitlines():
        if line.startswith("# TYPE "):
            assert re.fullmatch(r"# TYPE :[a-zA-Z0-9_:]+ (counter|gauge|histogram)", line)
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        found[f"{match[1]}{{{match[2]}}}" if match[2] else match[1]] = float(match[3])
    return found


def test_the_page_is_plain_text_with_type_lines_alone(channel: Grpc, rest: Rest) -> None:
    channel.predict(predict_request("doubler", X))

    answer = rest.get(PAGE)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert f"# TYPE {COUNT} counter\n" in answer.body.decode()
    assert b"HELP" not in answer.body
    assert b"_created" not in answer.body


def test_grpc_predicts_are_counted_by_model_and_status(channel: Grpc, rest: Rest) -> None:
    channel.predict(predict_request("doubler", X))
    channel.predict(predict_request("doubler", X))
    channel.cannot_predict(predict_request("unicorn", X))
    channel.cannot_predict(predict_request("doubler", {}))

    found = samples(rest)

    assert found[f'{COUNT}{{model_name="doubler",status="OK"}}'] == 2
    assert found[f'{COUNT}{{model_name="unicorn",status="NOT_FOUND"}}'] == 1
    assert found[f'{COUNT}{{model_name="doubler",status="INVALID_ARGUMENT"}}'] == 1
    labels = 'model_name="doubler",API="Predict",entrypoint="GRPC"'
    assert found[f"{LATENCY}_count{{{labels}}}"] == 2
    assert found[f"{LATENCY}_sum{{{labels}}}"] > 0
    assert found[f'{RUNTIME}_count{{model_name="doubler",API="Predict",runtime="TF1"}}'] == 2


def test_every_rest_request_is_counted_and_predict_is_written_small(rest: Rest) -> None:
    rest.predict("doubler", {"instances": [1.0]})
    rest.get("/v1/models/doubler")
    rest.get("/v1/models/doubler/metadata")
    rest.ask("PUT", "/v1/models/doubler")
    rest.get("/v1/models")
    rest.post("/v1/models/uni%2Fcorn:predict", {"instances": [1.0]})
    rest.get("/elsewhere")

    found = samples(rest)

    counted = {key: value for key, value in found.items() if key.startswith(COUNT)}
    assert counted == {
        f'{COUNT}{{model_name="doubler",status="OK"}}': 3,
        f'{COUNT}{{model_name="doubler",status="INVALID_ARGUMENT"}}': 1,
        f'{COUNT}{{model_name="",status="INVALID_ARGUMENT"}}': 1,
        f'{COUNT}{{model_name="uni/corn",status="NOT_FOUND"}}': 1,
    }
    assert found[f'{LATENCY}_count{{model_name="doubler",API="predict",entrypoint="REST"}}'] == 1
    assert found[f'{LATENCY}_count{{model_name="doubler",API="",entrypoint="REST"}}'] == 2
    assert found[f'{RUNTIME}_count{{model_name="doubler",API="Predict",runtime="TF1"}}'] == 1


def test_a_name_of_a_megabyte_is_counted_without_it(channel: Grpc, rest: Rest) -> None:
    """Or a few thousand strangers' requests would fill the memory for good."""
    assert channel.cannot_predict(predict_request("x" * 2**20, X)).code == "NOT_FOUND"
    assert rest.get(f"/v1/models/{'y' * 10_000}").status == 404

    found = samples(rest)

    assert found[f'{COUNT}{{model_name="",status="NOT_FOUND"}}'] == 2
    assert max(map(len, found)) < 1000


def test_status_and_metadata_over_grpc_are_not_counted(channel: Grpc, rest: Rest) -> None:
    channel.call(STATUS, status_request("doubler"))
    channel.call(METADATA, metadata_request("doubler", "signature_def"))

    assert not any(key.startswith(COUNT) for key in samples(rest))


def test_histograms_are_cumulative_up_to_infinity(channel: Grpc, rest: Rest) -> None:
    for _ in range(3):
        channel.predict(predict_request("doubler", X))

    labels = 'model_name="doubler",API="Predict",entrypoint="GRPC",le='
    buckets = [value for key, value in samples(rest).items() if key.startswith(f"{LATENCY}_bucket{{{labels}")]
    assert len(buckets) == 34
    assert buckets == sorted(buckets)
    assert samples(rest)[f'{LATENCY}_bucket{{{labels}"+Inf"}}'] == 3


def test_label_values_are_escaped(rest: Rest) -> None:
    rest.get("/v1/models/%22%5C%0A")

    assert samples(rest)[COUNT + r'{model_name="\"\\\n",status="NOT_FOUND"}'] == 1


def test_the_page_is_elsewhere_or_nowhere_as_configured(tmp_path: Path) -> None:
    base_path = publish(tmp_path, "doubler", 1)
    for place, status in (("/my/metrics", 200), (None, 404)):
        config = ServerConfig(base_path=base_path, rest_port=0, monitoring_path=place)
        with ModelServer(config, load) as server, rest_to(server) as connection:
            assert connection.get("/my/metrics").status == status
            assert connection.get(PAGE).status == 404


def test_our_own_page_is_always_there_and_keeps_strangers_names_out(channel: Grpc, rest: Rest) -> None:
    channel.predict(predict_request("doubler", X))
    channel.cannot_predict(predict_request("a-name-that-was-made-up", X))

    answer = rest.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    labels = [sample.labels for sample in families["modelserver_requests"].samples if sample.name.endswith("_total")]
    assert {"model": "doubler", "version": "1", "signature": "serving_default", "code": "OK"} in labels
    assert "a-name-that-was-made-up" not in answer.body.decode()
    assert "modelserver_version_state" in families
