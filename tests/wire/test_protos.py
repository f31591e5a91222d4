import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value

from serving.wire import protos, regenerate
from serving.wire.protos import POOL, GetModelMetadataResponse, PredictRequest, SignatureDefMap

CHECKOUT = Path(__file__).parents[2]

OURS = """
from serving.wire.protos import PredictRequest
mine = PredictRequest()
mine.inputs["x"].float_val.extend([1, 2])
mine.model_spec.version.value = 3
"""
THEIRS = """
from tensorflow_serving.apis.predict_pb2 import PredictRequest as Theirs
"""
CROSSED = """
assert Theirs.FromString(mine.SerializeToString()).model_spec.version.value == 3
assert PredictRequest.FromString(Theirs(model_spec={"name": "m"}).SerializeToString()).model_spec.name == "m"
assert PredictRequest is not Theirs
"""


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=120
    ).stdout


@pytest.mark.parametrize("program", [OURS + THEIRS + CROSSED, THEIRS + OURS + CROSSED], ids=["ours", "theirs"])
def test_our_messages_and_tensorflows_live_in_one_process_whichever_comes_first(program: str) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

    run(program)


def test_the_messages_come_without_tensorflow() -> None:
    loaded = run("import sys, serving.wire.rest_json, serving.wire.oip; print(*sys.modules)").split()

    assert "serving.wire.protos" in loaded
    assert not {"tensorflow", "tensorflow_serving", "grpc"} & set(loaded)


def test_the_committed_set_is_what_the_installed_packages_and_our_files_make() -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

    assert FileDescriptorSet.FromString(regenerate.SET.read_bytes()) == regenerate.descriptor_set()


def test_the_type_checker_knows_exactly_the_names_that_exist() -> None:
    declared = {
        line.split()[1].split("(")[0]
        for line in Path(protos.__file__).with_suffix(".pyi").read_text().splitlines()
        if line.startswith("class ") and "_Fields" not in line.split("(")[0]
    }

    existing = {name for name, value in vars(protos).items() if isinstance(value, type) and issubclass(value, Message)}
    assert declared == existing - {"FileDescriptorSet"}


@pytest.mark.parametrize(
    "service",
    [
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ],
)
def test_reflection_can_describe_every_service(service: str) -> None:
    described = POOL.FindServiceByName(service)

    assert described.methods
    assert POOL.FindFileContainingSymbol(service) is described.file


def test_a_signature_map_travels_inside_an_any() -> None:
    signatures = SignatureDefMap()
    signatures.signature_def["serving_default"].inputs["x"].name = "x:0"
    response = GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(signatures)

    arrived = SignatureDefMap()

    assert response.metadata["signature_def"].Unpack(arrived)
    assert arrived.signature_def["serving_default"].inputs["x"].name == "x:0"


def test_fields_of_one_pool_do_not_take_messages_of_another() -> None:
    with pytest.raises(TypeError):
        PredictRequest().model_spec.version.CopyFrom(Int64Value(value=1))
