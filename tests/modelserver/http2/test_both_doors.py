"""The door of our own and the one of Python's grpc answer alike: the same calls, the same errors, the same services."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.modelserver.grpc_door import GrpcDoor
from serving.modelserver.grpc_library_door import GrpcLibraryDoor
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, Refusal, grpc_to, predict_request
from tests.modelserver.conftest import config_text
from tests.modelserver.stand_ins import load, publish
from tests.modelserver.test_hostile import PREDICT

OURS: tuple[tuple[str, int | str], ...] = ()
LIBRARY: tuple[tuple[str, int | str], ...] = (("grpc.keepalive_time_ms", 60_000),)
"""A channel argument that only Python's grpc knows."""


@pytest.fixture(scope="module", params=[(OURS, GrpcDoor), (LIBRARY, GrpcLibraryDoor)], ids=["ours", "library"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server of stand-ins behind either door."""
    root = tmp_path_factory.mktemp("models")
    arguments, kind = request.param
    file = root / "models.config"
    paths: dict[str, Path] = {name: publish(root, name, 1) for name in ("doubler", "breaker", "sleeper")}
    file.write_text(config_text(paths))
    config = ServerConfig(model_config_file=file, grpc_port=0, grpc_arguments=arguments, drain_s=2)
    with ModelServer(config, load) as server:
        assert type(server._grpc) is kind
        yield server


@pytest.fixture
def channel(both: ModelServer) -> Iterator[Grpc]:
    """A channel to it."""
    with grpc_to(both) as opened:
        yield opened


def test_predict_answers(channel: Grpc) -> None:
    assert channel.predict(predict_request("doubler", {"x": [1.0, 2.5]}))["y"].tolist() == [2, 5]


def test_a_model_that_is_not_there_is_not_found(channel: Grpc) -> None:
    refusal = channel.cannot_predict(predict_request("unicorn", {"x": [1.0]}))

    assert refusal == Refusal("NOT_FOUND", "Servable not found for request: Latest(unicorn)")


def test_an_error_of_the_model_keeps_its_code_and_is_cut(channel: Grpc) -> None:
    refusal = channel.cannot_predict(predict_request("breaker"))

    assert refusal == Refusal("OUT_OF_RANGE", "x" * 1024 + "...TRUNCATED")


def test_an_exception_tells_its_kind_alone(channel: Grpc) -> None:
    refusal = channel.cannot_predict(predict_request("breaker", signature="crash"))

    assert refusal == Refusal("INTERNAL", "Unexpected ZeroDivisionError; see the log")


@pytest.mark.parametrize("method", ["/tensorflow.serving.PredictionService/Nothing", "/no.such.Service/Predict"])
def test_a_method_that_is_not_there_is_unimplemented(channel: Grpc, method: str) -> None:
    ask: Any = channel.channel.unary_unary(method)
    with pytest.raises(grpc.RpcError) as refused:
        ask(b"", timeout=10)

    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


def test_what_is_no_message_is_an_invalid_argument(channel: Grpc) -> None:
    ask: Any = channel.channel.unary_unary(PREDICT)
    with pytest.raises(grpc.RpcError) as refused:
        ask(b"\xff\xff", timeout=10)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_deadline_that_passes_is_told(channel: Grpc) -> None:
    refusal = channel.refusal("PredictionService/Predict", predict_request("sleeper", {"seconds": [1.0]}), 0.1)

    assert refusal.code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_calls_are_answered(both: ModelServer, compression: grpc.Compression) -> None:
    request = predict_request("doubler", {"x": [1.0] * 5000})
    with grpc.insecure_channel(f"127.0.0.1:{both.grpc_port}", compression=compression) as compressed:
        ask: Any = compressed.unary_unary(PREDICT)
        assert len(ask(request.SerializeToString(), timeout=20)) > 20_000


def test_health_is_told_when_asked_and_while_watched(channel: Grpc) -> None:
    stub = health_pb2_grpc.HealthStub(channel.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="doubler"))

    assert stub.Check(health_pb2.HealthCheckRequest(service="doubler"), timeout=10).status == 1
    assert next(watch).status == 1
    watch.cancel()
    with pytest.raises(grpc.RpcError) as refused:
        stub.Check(health_pb2.HealthCheckRequest(service="unicorn"), timeout=10)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_answers_one_question_after_the_other(channel: Grpc) -> None:
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.PredictionService"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol"),
    ]
    stub = reflection_pb2_grpc.ServerReflectionStub(channel.channel)
    services, file, error = stub.ServerReflectionInfo(iter(questions), timeout=10)

    assert "tensorflow.serving.PredictionService" in {found.name for found in services.list_services_response.service}
    assert file.file_descriptor_response.file_descriptor_proto
    assert error.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
