"""Passage: TensorFlow Serving's REST paths and Open Inference Protocol's, handed on as they came.

`app.py` asks here before it looks at its own routes. The gateway adds what it does for everybody
(keys, limits, deadlines, counting) and changes neither body nor status: whatever the model server
says, errors too, is the answer. `GET /v1/models` and `GET /v1/models/{model}` stay the gateway's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any
from urllib.parse import quote, unquote

from serving.errors import HTTP_STATUS, NotFound
from serving.gateway.exchange import BODY_KEY, Exchange
from serving.gateway.problems import Reply
from serving.gateway.upstream import RestCall, RestDoor

_VERSION = r"/(?:versions/(?P<version>[^/:]*)|labels/[^/:]*)"
_TENSORFLOW_SERVING = re.compile(
    rf"/v1/models/(?P<name>[^/:]+)(?:{_VERSION}(?:/metadata|:[^/]*)?|/metadata|:[^/]*)", re.IGNORECASE
)
_OPEN_INFERENCE = re.compile(
    r"/v2(?:/health/[^/]+|/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/[^/]+)?)?/?", re.IGNORECASE
)
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection."""
_OURS = _HOP_BY_HOP | {"authorization", "traceparent", "x-request-id"}
"""Headers of a request that are not handed on: the key is for the gateway, the others are made anew."""
_CODES = {status: code.name for code, status in reversed(list(HTTP_STATUS.items()))} | {
    413: "INVALID_ARGUMENT",
    500: "INTERNAL",
}


@dataclass(frozen=True, slots=True)
class Passage:
    """What a path that is handed on is about; empty and 0 where it does not say."""

    model: str = ""
    version: int = 0


@lru_cache(maxsize=1024)
def passage(raw_path: str) -> Passage | None:
    """The passage that a raw path without its query takes, or None if it is the gateway's own.

    Both patterns allow no more segments than either protocol has, so that no path can name one model
    here and, once somebody on the way has resolved its dots, another one there.
    """
    found = _TENSORFLOW_SERVING.fullmatch(raw_path) or _OPEN_INFERENCE.fullmatch(raw_path)
    if found is None:
        return None
    version = found["version"] or ""
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 19 else 0
    return Passage(unquote(found["name"] or ""), number)


def raw_target(environ: Mapping[str, Any]) -> str:
    """Path and query as they were sent, where the server tells; else as near as can be."""
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if target is None:
        query = environ.get("QUERY_STRING", "")
        target = quote(environ.get("PATH_INFO", ""), safe="/:@", encoding="latin-1") + (f"?{query}" if query else "")
    return str(target)


def hand_on(door: RestDoor | None, environ: Mapping[str, Any], through: Passage, exchange: Exchange) -> Reply:
    """What the model server's REST says.

    Raises:
        NotFound: the gateway has no way to its REST; says which option gives it one.
        ServingError: it cannot be asked.
    """
    if door is None:
        raise NotFound(
            "TensorFlow Serving's REST and Open Inference Protocol are handed on only where the gateway knows the "
            "model server's REST port: start it with --upstream-rest http://HOST:8501"
        )
    before = monotonic()
    answer = door.ask(
        RestCall(
            environ["REQUEST_METHOD"],
            raw_target(environ),
            {**_headers(environ), "x-request-id": exchange.request_id, "traceparent": exchange.traceparent},
            _body(environ),
            exchange.deadline,
        )
    )
    exchange.predict_s = monotonic() - before
    exchange.kind = "raw"
    exchange.code = "OK" if answer.status < 400 else _CODES.get(answer.status, "UNKNOWN")
    if exchange.code == "OK" and environ["REQUEST_METHOD"] != "OPTIONS":  # so the model is one that there is
        exchange.model, exchange.version = through.model, through.version
    headers = [(name, value) for name, value in answer.headers if name not in _HOP_BY_HOP]
    return Reply(
        answer.status, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers], answer.body
    )


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    names = {key: key[5:].replace("_", "-").lower() for key in environ if key.startswith("HTTP_")}
    found = {name: environ[key] for key, name in names.items() if name not in _OURS}
    if kind := environ.get("CONTENT_TYPE"):
        found["content-type"] = kind
    return found


def _body(environ: Mapping[str, Any]) -> bytes:
    found = environ.get(BODY_KEY)
    if found is None:
        found = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    assert isinstance(found, bytes)
    return found
