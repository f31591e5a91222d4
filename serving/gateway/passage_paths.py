"""What /openapi.json says of the paths that are handed on; `regenerate.py` puts it in.

Briefly: their bodies are those of TensorFlow Serving's REST API and of Open Inference Protocol, version 2.
"""

from typing import Any

_OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}}
_ANSWER = {"description": "The model server's answer, unchanged.", **_OBJECT}
_INFERRED = {
    "description": "The model server's answer, unchanged; tensors may follow the JSON as bytes.",
    "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {}},
}
_REFUSAL = {
    "description": "The model server's refusal, unchanged, or a problem of the gateway's own.",
    "content": {
        "application/json": {"schema": {"type": "object"}},
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}
_INSTANCES = {"instances": [1.0, 2.0, 5.0]}
_EXAMPLES = {"examples": [{"x": 2.0}]}
_INFERENCE = {"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}]}


def paths() -> dict[str, Any]:
    """The items of `paths`."""
    return {
        "/v1/models/{model}:predict": _post("predict", "TensorFlow Serving: run a signature.", _INSTANCES),
        "/v1/models/{model}:classify": _post("classify", "TensorFlow Serving: classify examples.", _EXAMPLES),
        "/v1/models/{model}:regress": _post("regress", "TensorFlow Serving: regress examples.", _EXAMPLES),
        "/v1/models/{model}/metadata": _get("metadata", "TensorFlow Serving: a model's signatures."),
        "/v1/models/{model}/versions/{version}": _get("version_status", "TensorFlow Serving: a version's state."),
        "/v2": _get("server_metadata", "Open Inference Protocol: the server."),
        "/v2/health/{probe}": _get("server_health", "Open Inference Protocol: live or ready."),
        "/v2/models/{model}": _get("model_metadata", "Open Inference Protocol: a model's tensors."),
        "/v2/models/{model}/ready": _get("model_ready", "Open Inference Protocol: whether a model answers."),
        "/v2/models/{model}/infer": _post("infer", "Open Inference Protocol: run a model.", _INFERENCE, _INFERRED),
    }


def parameters(path: str) -> list[dict[str, Any]]:
    """Those in the path."""
    kinds: dict[str, dict[str, Any]] = {
        "model": {"schema": {"type": "string"}, "example": "shapes_cnn"},
        "version": {"schema": {"type": "integer", "minimum": 1}, "example": 1},
        "probe": {"schema": {"enum": ["live", "ready"]}, "example": "ready"},
    }
    return [{"name": name, "in": "path", "required": True, **kinds[name]} for name in kinds if f"{{{name}}}" in path]


def _post(name: str, summary: str, example: dict[str, Any], answer: dict[str, Any] = _ANSWER) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": {"type": "object"}, "example": example}}}
    return {"post": _operation(name, summary, answer) | {"requestBody": body}}


def _get(name: str, summary: str) -> dict[str, Any]:
    return {"get": _operation(name, summary, _ANSWER)}


def _operation(name: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["passage"],
        "responses": {"200": answer, "default": _REFUSAL},
    }
