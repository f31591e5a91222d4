"""The two doors of Open Inference Protocol, version 2: a gRPC service, and REST below /v2.

oip_calls.py does what both mean, `wire/oip.py` reads and writes tensors in both forms.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from urllib.parse import unquote

import orjson

from serving.errors import BadInput, NotFound
from serving.modelserver.grpc_methods import Services, Unary
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.oip_calls import EXTENSIONS, SERVER_NAME, OipCalls, server_version
from serving.modelserver.rest_app import Reply, Request
from serving.wire import oip
from serving.wire.protos import (
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerLiveRequest,
    ServerLiveResponse,
    ServerMetadataRequest,
    ServerMetadataResponse,
    ServerReadyRequest,
    ServerReadyResponse,
)

_MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<verb>ready|infer))?", re.IGNORECASE
)
_JSON_LENGTH = b"inference-header-content-length"


class OipMessages:
    """The methods of inference.GRPCInferenceService, each from request to response message."""

    def __init__(self, manager: ModelManager) -> None:
        self._calls = OipCalls(manager)

    def services(self) -> Services:
        """The service, for grpc_methods.py."""
        return {
            "inference.GRPCInferenceService": {
                "ServerLive": Unary(ServerLiveRequest, lambda _request, _deadline: ServerLiveResponse(live=True)),
                "ServerReady": Unary(
                    ServerReadyRequest, lambda _request, _deadline: ServerReadyResponse(ready=self._calls.ready())
                ),
                "ModelReady": Unary(ModelReadyRequest, self.model_ready),
                "ServerMetadata": Unary(ServerMetadataRequest, self.server_metadata),
                "ModelMetadata": Unary(ModelMetadataRequest, self.model_metadata),
                "ModelInfer": Unary(ModelInferRequest, self.model_infer),
            }
        }

    def model_ready(self, request: ModelReadyRequest, _deadline: float | None) -> ModelReadyResponse:
        """Whether a model answers."""
        return ModelReadyResponse(ready=self._calls.model_ready(request.name, request.version))

    def server_metadata(self, _request: ServerMetadataRequest, _deadline: float | None) -> ServerMetadataResponse:
        """Who answers here."""
        return ServerMetadataResponse(name=SERVER_NAME, version=server_version(), extensions=EXTENSIONS)

    def model_metadata(self, request: ModelMetadataRequest, _deadline: float | None) -> ModelMetadataResponse:
        """What a model takes and gives."""
        return ModelMetadataResponse(**asdict(self._calls.model_metadata(request.name, request.version)))

    def model_infer(self, request: ModelInferRequest, deadline: float | None) -> ModelInferResponse:
        """Inference."""
        wanted = oip.read_grpc(request)
        version, outputs = self._calls.infer(request.model_name, request.model_version, wanted, deadline)
        return oip.write_grpc(outputs, request=wanted, model_name=request.model_name, model_version=str(version))


class OipRest:
    """Everything below /v2, as one door of the REST port."""

    def __init__(self, manager: ModelManager) -> None:
        self._calls = OipCalls(manager)

    def owns(self, path: str) -> bool:
        """`/v2` and what is below it."""
        return re.match(r"/v2(?:[/?]|$)", path, re.IGNORECASE) is not None

    def runs_models(self, method: str) -> bool:
        """Inference is the one POST."""
        return method == "POST"

    def at_once(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """What probes ask must be answered however busy the threads are."""
        path = path.partition("?")[0].rstrip("/").lower()
        if method not in ("GET", "HEAD"):
            return None
        if path == "/v2/health/live":
            return _json({"live": True})
        if path == "/v2/health/ready":
            ready = self._calls.ready()
            return _json({"ready": ready}, 200 if ready else 503)
        return None

    def answer(self, request: Request) -> Reply:
        """One answer; raises ServingError."""
        path = request.path.partition("?")[0]
        if path.rstrip("/").lower() == "/v2":
            self._check_method(request, "GET")
            return _json({"name": SERVER_NAME, "version": server_version(), "extensions": EXTENSIONS})
        found = _MODEL.fullmatch(path)
        if found is None:
            raise NotFound(f"Nothing is served at {request.path}")
        name, version = unquote(found["name"]), unquote(found["version"] or "")
        match (found["verb"] or "").lower():
            case "infer":
                self._check_method(request, "POST")
                return self._infer(request, name, version)
            case "ready":
                self._check_method(request, "GET")
                ready = self._calls.model_ready(name, version)
                return _json({"name": name, "ready": ready}, 200 if ready else 503)
            case _:
                self._check_method(request, "GET")
                return _json(asdict(self._calls.model_metadata(name, version)))

    def _infer(self, request: Request, name: str, version: str) -> Reply:
        wanted = oip.read_json(request.body, _json_length(request.headers))
        number, outputs = self._calls.infer(name, version, wanted, request.deadline)
        body, length = oip.write_json(outputs, request=wanted, model_name=name, model_version=str(number))
        if length is None:
            return Reply(body)
        return Reply(body, content_type=b"application/octet-stream", headers=((_JSON_LENGTH, b"%d" % length),))

    def _check_method(self, request: Request, wanted: str) -> None:
        if request.method != wanted:
            raise BadInput(f"{request.path} takes {wanted}, not {request.method}")


def _json_length(headers: Mapping[bytes, bytes]) -> int | None:
    text = headers.get(_JSON_LENGTH)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 18:
        raise BadInput("Inference-Header-Content-Length must be a number of bytes")
    return int(text)


def _json(document: Mapping[str, object], status: int = 200) -> Reply:
    return Reply(orjson.dumps(document), status)
