"""Failures as people read them over HTTP: application/problem+json (RFC 9457).

Every refusal of the gateway is made here, whether the front, the connection or a route refuses,
so that all have one form. What a failure means stands in `serving/errors.py`.
"""

import math
import re
from typing import NamedTuple

import orjson

from serving.errors import ServingError, gateway_status
from serving.gateway.documents import Problem

Headers = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """A whole answer, ready for the wire."""

    status: int
    headers: Headers
    body: bytes


class BadItem(Exception):
    """One picture or text of several is bad; `index` says which."""

    def __init__(self, error: ServingError, index: int) -> None:
        super().__init__(error.message)
        self.error = error
        self.index = index


RETRY_STATUSES = frozenset({429, 503, 504})
"""Answers that always say when to come back."""


def members(error: ServingError, request_id: str, index: int | None = None) -> Problem:
    """The document of one failure."""
    name = type(error).__name__
    return document(gateway_status(error), _words(name), error.message, request_id, index, slug(name))


def document(
    status: int, title: str, detail: str, request_id: str, index: int | None = None, kind: str = ""
) -> Problem:
    """The members of a problem; `type` leads to its entry in the documentation page."""
    found: Problem = {
        "type": f"/docs#{kind or slug(title)}",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if index is not None:
        found["index"] = index
    return found


def reply(problem: Problem, retry_after_s: float | None = None) -> Reply:
    """The problem as an answer; Retry-After in whole seconds where the status asks for one."""
    body = orjson.dumps(problem)
    headers: Headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", str(problem["request_id"]).encode("latin-1", "replace")),
    ]
    if problem["status"] in RETRY_STATUSES:
        headers.append((b"retry-after", str(max(1, math.ceil(retry_after_s or 1))).encode()))
    if problem["status"] == 401:
        headers.append((b"www-authenticate", b'Bearer realm="models"'))
    return Reply(int(problem["status"]), headers, body)


def refusal(error: ServingError, request_id: str, index: int | None = None) -> Reply:
    """The answer to a request that failed."""
    return reply(members(error, request_id, index), error.retry_after_s)


def slug(name: str) -> str:
    """BodyTooLarge -> body-too-large, as the anchors of the documentation page have it."""
    return re.sub(r"[^a-z0-9]+", "-", _words(name).lower()).strip("-")


def _words(name: str) -> str:
    """BodyTooLarge -> Body too large."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
