"""An HTTP answer that is a refusal, back to the error that the server meant.

The gateway says it by the `type` of its problem+json, TensorFlow Serving by the status alone.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from clients.connections import Answer
from serving import errors
from serving.errors import ServingError

_BY_STATUS: Mapping[int, type[ServingError]] = {
    400: errors.BadInput,
    401: errors.Unauthenticated,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    408: errors.SlowBody,
    409: errors.FailedPrecondition,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedKind,
    422: errors.TooMuchToProcess,
    429: errors.RateLimited,
    499: errors.Cancelled,
    501: errors.Unimplemented,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.DeadlineExceeded,
}


def error_of(answer: Answer) -> ServingError:
    """The error that a refusal stands for."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = {}
    retry_after = answer.headers.get("Retry-After", "")
    return of_document(
        document if isinstance(document, dict) else {},
        answer.status,
        float(retry_after) if retry_after.isdigit() else None,
    )


def of_document(document: Mapping[str, Any], status: int, retry_after_s: float | None = None) -> ServingError:
    """The error that a problem document stands for; also one inside a partial answer."""
    kind = _BY_SLUG.get(str(document.get("type", "")).rpartition("#")[2])
    text = document.get("detail") or document.get("error") or f"the server answered HTTP status {status}"
    return (kind or _BY_STATUS.get(status, errors.Unknown))(str(text), retry_after_s=retry_after_s)


def _family(kind: type[ServingError]) -> Iterator[type[ServingError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


_BY_SLUG = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower(): kind
    for kind in _family(ServingError)
    if kind.__module__ == errors.__name__
}
