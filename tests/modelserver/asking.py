"""How the tests ask a model server: over real channels and sockets, with nothing of ours in between."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from serving.modelserver.server import ModelServer
from serving.wire import protos, tensors

LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

_RESPONSES: Mapping[str, type[Message]] = {
    "PredictionService/Predict": protos.PredictResponse,
    "PredictionService/Classify": protos.ClassificationResponse,
    "PredictionService/Regress": protos.RegressionResponse,
    "PredictionService/MultiInference": protos.MultiInferenceResponse,
    "PredictionService/GetModelMetadata": protos.GetModelMetadataResponse,
    "ModelService/GetModelStatus": protos.GetModelStatusResponse,
    "ModelService/HandleReloadConfigRequest": protos.ReloadConfigResponse,
}


@dataclass(frozen=True)
class Refusal:
    """How a gRPC call failed."""

    code: str
    details: str


class Grpc:
    """A channel to a server; use it as a context manager."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.channel = (
            grpc.secure_channel(target, credentials, options=LARGE)
            if credentials
            else grpc.insecure_channel(target, options=LARGE)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, method: str, request: Message, timeout_s: float | None = 20) -> Any:
        """The response of one of TensorFlow Serving's methods; raises grpc.RpcError."""
        ask: Any = self.channel.unary_unary(
            f"/tensorflow.serving.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_RESPONSES[method].FromString,
        )
        return ask(request, timeout=timeout_s)

    def refusal(self, method: str, request: Message, timeout_s: float | None = 20) -> Refusal:
        """How a call fails that must fail."""
        try:
            answer = self.call(method, request, timeout_s)
        except grpc.RpcError as error:
            return Refusal(error.code().name, error.details() or "")
        raise AssertionError(f"{method} was answered: {answer}")

    def predict(self, request: protos.PredictRequest, timeout_s: float | None = 20) -> dict[str, NDArray[Any]]:
        """The outputs of a Predict as arrays."""
        answer = self.call("PredictionService/Predict", request, timeout_s)
        return {alias: tensors.from_proto(proto) for alias, proto in answer.outputs.items()}

    def cannot_predict(self, request: protos.PredictRequest) -> Refusal:
        """How a Predict fails that must fail."""
        return self.refusal("PredictionService/Predict", request)


def grpc_to(server: ModelServer) -> Grpc:
    """A channel to a server in this process."""
    return Grpc(f"127.0.0.1:{server.grpc_port}")


def fill_spec(
    spec: protos.ModelSpec, model: str, version: int | None = None, label: str | None = None, signature: str = ""
) -> None:
    """Write a ModelSpec."""
    spec.name, spec.signature_name = model, signature
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label


def predict_request(
    model: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    version: int | None = None,
    label: str | None = None,
    signature: str = "",
    outputs: tuple[str, ...] = (),
    as_content: bool = False,
) -> protos.PredictRequest:
    """A PredictRequest; inputs are TensorProtos or what numpy makes float32 arrays of."""
    request = protos.PredictRequest(output_filter=outputs)
    fill_spec(request.model_spec, model, version, label, signature)
    for alias, value in (inputs or {}).items():
        if not isinstance(value, Message):
            array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
            value = tensors.to_proto(array, as_content=as_content)
        request.inputs[alias].CopyFrom(value)
    return request


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of a failure, which is all that its body holds."""
        document = self.json
        assert set(document) == {"error"}
        return str(document["error"])


class Rest:
    """One kept connection to a server; use it as a context manager."""

    def __init__(self, port: int | None) -> None:
        assert port is not None
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; a body that is neither text nor bytes is sent as JSON."""
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
        self.connection.request(method, path, body, dict(headers or {}))
        answer = self.connection.getresponse()
        return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())

    def get(self, path: str) -> Answer:
        """GET."""
        return self.ask("GET", path)

    def post(self, path: str, body: Any) -> Answer:
        """POST."""
        return self.ask("POST", path, body)

    def predict(self, model: str, body: Any) -> Answer:
        """POST to :predict."""
        return self.post(f"/v1/models/{model}:predict", body)


def rest_to(server: ModelServer) -> Rest:
    """A connection to a server in this process."""
    return Rest(server.rest_port)
