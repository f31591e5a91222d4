"""Sections 1 and 16 of the protocol: the health service and server reflection."""

import time
from pathlib import Path

import grpc as grpc_library
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from serving.modelserver.grpc_door import GrpcDoor, GrpcOptions
from serving.modelserver.grpc_health import Health
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, grpc_to
from tests.modelserver.stand_ins import load, publish
from tests.waiting import until


def health_of(channel: Grpc, service: str) -> str:
    answer = health_pb2_grpc.HealthStub(channel.channel).Check(
        health_pb2.HealthCheckRequest(service=service), timeout=10
    )
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService", "doubler"])
def test_health_is_serving_for_the_server_and_for_each_model(stand_in_grpc: Grpc, service: str) -> None:
    assert health_of(stand_in_grpc, service) == "SERVING"


def test_health_of_an_unknown_model_is_not_found(stand_in_grpc: Grpc) -> None:
    with pytest.raises(grpc_library.RpcError) as refused:
        health_of(stand_in_grpc, "unicorn")

    assert refused.value.code() is grpc_library.StatusCode.NOT_FOUND


def test_health_follows_the_model_and_the_end_of_the_server(tmp_path: Path) -> None:
    base_path = publish(tmp_path, "doubler", 1)
    config = ServerConfig(base_path=base_path, grpc_port=0, lifecycle=LifecycleOptions(poll_s=0.02), drain_s=5)
    server = ModelServer(config, load)
    server.start()
    with grpc_to(server) as channel:
        watch = health_pb2_grpc.HealthStub(channel.channel).Watch(health_pb2.HealthCheckRequest(service="doubler"))
        names = (health_pb2.HealthCheckResponse.ServingStatus.Name(update.status) for update in watch)
        assert next(names) == "SERVING"
        (base_path / "1").rename(tmp_path / "aside")
        assert next(names) == "NOT_SERVING"
        assert health_of(channel, "") == "NOT_SERVING"
        (tmp_path / "aside").rename(base_path / "1")
        assert next(names) == "SERVING"

        began = time.monotonic()
        server.stop()
        assert list(names) == ["NOT_SERVING"]
        assert time.monotonic() - began < 5


def test_names_that_nobody_watches_any_more_are_forgotten() -> None:
    manager = ModelManager(load)
    health = Health(manager)
    server = GrpcDoor(GrpcOptions(address="127.0.0.1", port=0), health.services())
    health.begin()
    with Grpc(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=f"made up {number % 3}")) for number in range(9)]
        for watch in watches:
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert health.watched == {f"made up {number}" for number in range(3)}

        for watch in watches[:-1]:
            watch.cancel()
        until(lambda: health.watched == {"made up 2"})
        health.drain()
        assert list(watches[-1]) == []
        until(lambda: not health.watched)
    server.stop(0)
    manager.close()


def test_an_endless_name_is_not_repeated(stand_in_grpc: Grpc) -> None:
    with pytest.raises(grpc_library.RpcError) as refused:
        health_of(stand_in_grpc, "x" * 100_000)

    assert refused.value.code() is grpc_library.StatusCode.NOT_FOUND


def test_without_its_flag_health_is_unimplemented(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_port=0, health_service=False)
    with (
        ModelServer(config, load) as server,
        grpc_to(server) as channel,
        pytest.raises(grpc_library.RpcError) as refused,
    ):
        health_of(channel, "")

    assert refused.value.code() is grpc_library.StatusCode.UNIMPLEMENTED


def test_reflection_lists_the_services_and_their_messages(stand_in_grpc: Grpc) -> None:
    database = ProtoReflectionDescriptorDatabase(stand_in_grpc.channel)

    assert {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
    } <= set(database.get_services())
    predict = (
        DescriptorPool(database).FindServiceByName("tensorflow.serving.PredictionService").methods_by_name["Predict"]
    )
    assert predict.input_type.full_name == "tensorflow.serving.PredictRequest"
