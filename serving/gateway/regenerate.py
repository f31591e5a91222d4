"""Write pages/openapi.json from the code: the routes' docstrings, the documents' types, the errors' statuses.

    python -m serving.gateway.regenerate

The result is committed, so that serving needs none of this; a test holds the two equal. Needs pydantic.
"""

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter  # type: ignore[import-not-found, unused-ignore]

from serving import errors
from serving.errors import ServingError, gateway_status
from serving.gateway import documents, passage_paths, routes, upkeep
from serving.gateway.bodies import PICTURES
from serving.gateway.problems import slug

FILE = Path(__file__).with_name("pages") / "openapi.json"
TYPES = (documents.Classification, documents.Instances, documents.Listing, documents.Model, documents.Health)
JSON = "application/json"
STICKY = "A user, session or device; where a canary is tried, one key always meets the same side."
VERSION = {"type": "integer", "minimum": 1}

ANYWHERE = (errors.Unauthenticated, errors.PermissionDenied, errors.RateLimited, errors.BadInput, errors.Overloaded)
CLASSIFYING = (
    *ANYWHERE,
    errors.NotFound,
    errors.SlowBody,
    errors.NoCard,
    errors.BodyTooLarge,
    errors.UnsupportedKind,
    errors.TooMuchToProcess,
    errors.DeadlineExceeded,
    ServingError,
    errors.Unimplemented,
)
EXAMPLE = {
    "model": "shapes_cnn",
    "version": 1,
    "predictions": [
        {
            "label": "circle",
            "probability": 0.98,
            "top": [{"label": "circle", "probability": 0.98}, {"label": "square", "probability": 0.02}],
            "anomaly": {"score": 0.31, "threshold": 0.87, "flagged": False},
        }
    ],
    "timing_ms": {"decode": 0.6, "queue": 0.0, "predict": 2.1, "total": 3.4},
    "request_id": "6f1d2c9be0a34a6f9d6c1f0f6f1d2c9b",
}


def document() -> dict[str, Any]:
    """The whole OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Slipway gateway",
            "version": "1",
            "summary": "Pictures and texts in, labels and probabilities out.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"key": []}],
        "paths": _paths() | _handed_on(),
        "x-problems": _problems(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Where the server uses API keys."}
            },
        },
    }


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in (*TYPES, documents.Problem):
        whole = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        found |= whole.pop("$defs", {})
        found[kind.__name__] = whole
    return dict(sorted(found.items()))


def _problems() -> dict[str, Any]:
    """Every type of problem, which /docs lists under the anchors that `type` leads to."""
    kinds = sorted(
        {*CLASSIFYING, errors.Unavailable, errors.DataLoss}, key=lambda kind: (gateway_status(kind("")), kind.__name__)
    )
    return {slug(kind.__name__): {"status": gateway_status(kind("")), "meaning": _summary(kind)} for kind in kinds}


def _paths() -> dict[str, Any]:
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}, "example": "shapes_cnn"}
    return {
        "/v1/models": {"get": _operation(routes.list_models, "Listing", ANYWHERE)},
        "/v1/models/{model}": {
            "parameters": [model],
            "get": _operation(routes.show_model, "Model", (*ANYWHERE, errors.NotFound, errors.NoCard, ServingError))
            | {
                "parameters": [_query("version", VERSION, "Whose card; that of the version that answers if not given.")]
            },
        },
        "/v1/models/{model}/classify": {
            "parameters": [model],
            "post": _operation(routes.classify_items, "Classification", CLASSIFYING, EXAMPLE)
            | {"parameters": _parameters(), "requestBody": _body()},
        },
        "/livez": {"get": _probe(upkeep.livez)},
        "/readyz": {"get": _probe(upkeep.readyz)},
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": _summary(upkeep.metrics),
                "security": [{}],
                "responses": {"200": {"description": "All counters.", "content": {"text/plain": {}}}},
            }
        },
    }


def _handed_on() -> dict[str, Any]:
    items = passage_paths.paths().items()
    return {
        path: {"parameters": given, **item} if (given := passage_paths.parameters(path)) else item
        for path, item in items
    }


def _operation(
    view: Any, schema: str, refusals: tuple[type[ServingError], ...], example: dict[str, Any] | None = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _reference(schema)}
    if example is not None:
        content["example"] = example
    fine = {"description": "The answer.", "headers": _request_id(), "content": {JSON: content}}
    return {
        "operationId": view.__name__,
        "summary": _summary(view),
        "responses": {"200": fine} | _refused(refusals),
    }


def _refused(refusals: tuple[type[ServingError], ...]) -> dict[str, Any]:
    """Each status once, with what every error of it means."""
    meanings: dict[int, list[str]] = {}
    for kind in refusals:
        meanings.setdefault(gateway_status(kind("")), []).append(_summary(kind))
    return {
        str(status): {
            "description": " ".join(said),
            "headers": _request_id() | (_retry_after() if status in {429, 503, 504} else {}),
            "content": {"application/problem+json": {"schema": _reference("Problem")}},
        }
        for status, said in sorted(meanings.items())
    }


def _probe(view: Any) -> dict[str, Any]:
    content = {JSON: {"schema": _reference("Health")}}
    return {
        "operationId": view.__name__,
        "summary": _summary(view),
        "security": [{}],
        "responses": {
            "200": {"description": "Yes.", "content": content},
            "503": {"description": "No; the answer says why.", "headers": _retry_after(), "content": content},
        },
    }


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _parameters() -> list[dict[str, Any]]:
    top = {"type": "integer", "minimum": 1, "maximum": routes.MOST_TOP, "default": 5}
    timeout = {"type": "number", "exclusiveMinimum": 0}
    return [
        _query("top", top, "How many labels, best first."),
        _query("version", VERSION, "Which version answers; the newest if not given."),
        _query("label", {"type": "string"}, "Which version answers, by its label; not together with version."),
        _query("partial", {"type": "boolean", "default": False}, "Answer the good ones and name the bad."),
        _query("view", {"type": "boolean", "default": False}, "Send pictures back as the model sees them."),
        {"name": "X-Request-Id", "in": "header", "schema": {"type": "string"}, "description": "Comes back."},
        {"name": "X-Request-Key", "in": "header", "schema": {"type": "string"}, "description": STICKY},
        {"name": "X-Request-Timeout", "in": "header", "schema": timeout, "description": "Seconds for all of it."},
    ]


def _body() -> dict[str, Any]:
    picture = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    files = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}}
    return {
        "required": True,
        "description": "What the model's task takes: pictures or texts.",
        "content": {
            **dict.fromkeys(PICTURES, picture),
            "multipart/form-data": {"schema": {"type": "object", "properties": {"file": files}}},
            "text/plain": {"schema": {"type": "string"}, "example": "A lovely film, not dull at all."},
            JSON: {"schema": _reference("Instances"), "example": {"instances": ["A lovely film."]}},
        },
    }


def _request_id() -> dict[str, Any]:
    return {"X-Request-Id": {"schema": {"type": "string"}, "description": "To ask about this request."}}


def _retry_after() -> dict[str, Any]:
    return {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds to wait."}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _summary(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def text() -> str:
    """The file's content."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
