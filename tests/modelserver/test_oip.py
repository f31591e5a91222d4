"""Open Inference Protocol, version 2: the same models, over REST below /v2 and as a gRPC service."""

import json
from collections.abc import Mapping
from typing import Any

import grpc as grpc_library
import numpy as np
import pytest

from serving.wire import protos
from tests.modelserver.asking import Grpc, Rest

PAIR = [[1.0, 2.0], [3.0, 4.0]]
X = {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1.0, 2.0]}


def ask(grpc: Grpc, method: str, request: Any, response: Any) -> Any:
    """One call of inference.GRPCInferenceService."""
    call: Any = grpc.channel.unary_unary(
        f"/inference.GRPCInferenceService/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    return call(request, timeout=20)


def test_the_server_says_who_it_is(rest: Rest, grpc: Grpc) -> None:
    over_rest = rest.get("/v2").json
    over_grpc = ask(grpc, "ServerMetadata", protos.ServerMetadataRequest(), protos.ServerMetadataResponse)

    assert over_rest["name"] == over_grpc.name == "slipway"
    assert over_rest["extensions"] == list(over_grpc.extensions) == ["binary_tensor_data"]


def test_the_server_is_live_and_ready(rest: Rest, grpc: Grpc) -> None:
    assert rest.get("/v2/health/live").status == 200
    assert rest.get("/v2/health/ready").json == {"ready": True}
    assert ask(grpc, "ServerLive", protos.ServerLiveRequest(), protos.ServerLiveResponse).live
    assert ask(grpc, "ServerReady", protos.ServerReadyRequest(), protos.ServerReadyResponse).ready


@pytest.mark.parametrize(("version", "place"), [("", ""), ("1", "/versions/1")])
def test_a_model_is_ready_and_says_what_it_takes(rest: Rest, grpc: Grpc, version: str, place: str) -> None:
    ready = protos.ModelReadyRequest(name="two_inputs", version=version)
    metadata = protos.ModelMetadataRequest(name="two_inputs", version=version)

    assert rest.get(f"/v2/models/two_inputs{place}/ready").json == {"name": "two_inputs", "ready": True}
    assert ask(grpc, "ModelReady", ready, protos.ModelReadyResponse).ready
    over_rest = rest.get(f"/v2/models/two_inputs{place}").json
    over_grpc = ask(grpc, "ModelMetadata", metadata, protos.ModelMetadataResponse)
    assert over_rest["versions"] == list(over_grpc.versions) == ["1"]
    assert {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in over_rest["inputs"]} == {
        "a": ("FP32", [-1, 2]),
        "b": ("FP32", [-1, 2]),
    }
    assert {tensor.name for tensor in over_grpc.outputs} == {"sum", "product", "same", "again"}


def test_inference_over_rest(rest: Rest) -> None:
    answer = rest.post("/v2/models/half_plus_two/infer", {"id": "7", "inputs": [X]})

    assert answer.status == 200
    assert answer.json == {
        "model_name": "half_plus_two",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [2.5, 3.0]}],
    }


def test_outputs_are_chosen_by_name(rest: Rest) -> None:
    tensor = {"datatype": "FP32", "shape": [2, 2], "data": PAIR}
    body = {"inputs": [{"name": "a", **tensor}, {"name": "b", **tensor}], "outputs": [{"name": "sum"}]}

    (output,) = rest.post("/v2/models/two_inputs/versions/1/infer", body).json["outputs"]

    assert (output["name"], output["data"]) == ("sum", [2, 4, 6, 8])


def test_binary_tensors_go_in_and_out(rest: Rest) -> None:
    raw = np.array([1, 2], np.float32).tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()

    answer = rest.ask(
        "POST", "/v2/models/half_plus_two/infer", head + raw, {"Inference-Header-Content-Length": str(len(head))}
    )

    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert np.frombuffer(answer.body[length:], np.float32).tolist() == [2.5, 3.0]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_inference_over_grpc(grpc: Grpc, raw: bool) -> None:
    request = protos.ModelInferRequest(model_name="half_plus_two")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[2])
    if raw:
        request.raw_input_contents.append(np.array([1, 2], np.float32).tobytes())
    else:
        tensor.contents.fp32_contents.extend([1, 2])

    answer = ask(grpc, "ModelInfer", request, protos.ModelInferResponse)

    assert (answer.model_name, answer.model_version) == ("half_plus_two", "1")
    got = np.frombuffer(answer.raw_output_contents[0], np.float32) if raw else answer.outputs[0].contents.fp32_contents
    assert list(got) == [2.5, 3.0]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v2/models/unicorn", None, 404),
        ("GET", "/v2/models/unicorn/ready", None, 404),
        ("GET", "/v2/models/half_plus_two/versions/9", None, 404),
        ("GET", "/v2/models/half_plus_two/versions/9/ready", None, 404),
        ("GET", "/v2/models/half_plus_two/versions/one", None, 400),
        ("GET", f"/v2/models/half_plus_two/versions/{2**64}", None, 400),
        ("GET", "/v2/else", None, 404),
        ("GET", "/v2/models/half_plus_two/infer", None, 400),
        ("POST", "/v2/models/half_plus_two/ready", {}, 400),
        ("POST", "/v2/models/unicorn/infer", {"inputs": [X]}, 404),
        ("POST", "/v2/models/half_plus_two/infer", {"inputs": []}, 400),
        ("POST", "/v2/models/half_plus_two/infer", {"inputs": [{**X, "name": "z"}]}, 400),
        ("POST", "/v2/models/half_plus_two/infer", {"inputs": [{**X, "datatype": "FP64"}]}, 400),
        ("POST", "/v2/models/half_plus_two/infer", {"inputs": [{**X, "shape": [3]}]}, 400),
        ("POST", "/v2/models/half_plus_two/infer", {"inputs": [X], "outputs": [{"name": "z"}]}, 400),
        ("POST", "/v2/models/half_plus_two/infer", {}, 400),
    ],
)
def test_what_does_not_fit_is_refused_with_a_text(
    rest: Rest, method: str, path: str, body: Mapping[str, Any] | None, status: int
) -> None:
    answer = rest.ask(method, path, body)

    assert answer.status == status
    assert answer.error


def test_a_header_length_that_is_none_is_refused(rest: Rest) -> None:
    for length in ("x", "-1", "99999"):
        answer = rest.ask(
            "POST", "/v2/models/half_plus_two/infer", {"inputs": [X]}, {"Inference-Header-Content-Length": length}
        )
        assert answer.status == 400
        assert "Inference-Header-Content-Length" in answer.error


def test_grpc_refuses_with_the_same_codes(grpc: Grpc) -> None:
    for request, code in (
        (protos.ModelInferRequest(model_name="unicorn"), grpc_library.StatusCode.NOT_FOUND),
        (protos.ModelInferRequest(model_name="half_plus_two"), grpc_library.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc_library.RpcError) as refused:
            ask(grpc, "ModelInfer", request, protos.ModelInferResponse)
        assert refused.value.code() is code
