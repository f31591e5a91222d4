"""What may be called over gRPC, whoever carries the bytes: methods, how one is answered, what an error says.

messages.py, oip_server.py and grpc_health.py fill the table; grpc_door.py and grpc_library_door.py answer by it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, EncodeError, Message

from serving.errors import BadInput, Code, OutOfRange, ServingError

log = logging.getLogger(__name__)

MOST_DETAIL_BYTES = 1024
MOST_MESSAGE_BYTES = 2**31 - 1

Send = Callable[[Message | None], None]
"""Sends a message to one that watches, from any thread; None ends the stream. Whoever has left hears nothing."""


@dataclass(frozen=True, slots=True)
class Unary:
    """One request, one answer."""

    request: type[Message]
    method: Callable[[Any, float | None], Message]
    """A request message and a deadline in time.monotonic() seconds in, the response out; raises ServingError."""
    at_once: bool = False
    """It waits for nothing, so that it is answered even where every thread is taken."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Any number of requests, each answered by any number of messages, which wait for nothing."""

    request: type[Message]
    method: Callable[[Any], Iterable[Message]]


@dataclass(frozen=True, slots=True)
class Watch:
    """One request, and messages until either side ends it."""

    request: type[Message]
    method: Callable[[Any, Send], Callable[[], None]]
    """Begins, and returns what is to be called when the caller has left."""


Services = Mapping[str, Mapping[str, Unary | Conversation | Watch]]
"""Full service name to method name to method."""


def parsed(kind: type[Message], raw: bytes) -> Any:
    """A request as a message.

    Raises:
        BadInput: it is none of this kind.
    """
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise BadInput(f"The request is not a {kind.DESCRIPTOR.full_name} message: {error}") from error


def answer(unary: Unary, raw: bytes, deadline: float | None) -> bytes:
    """From request to response, as bytes.

    Raises:
        ServingError: what the caller is to be told.
    """
    response = unary.method(parsed(unary.request, raw), deadline)
    try:
        return response.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise OutOfRange(f"The response does not fit into one message of {MOST_MESSAGE_BYTES} bytes") from error


def told(error: Exception) -> tuple[Code, str]:
    """What a caller hears of a failure; the log has all of what is a fault of ours, the caller none of our insides."""
    if isinstance(error, ServingError):
        return error.code, truncated(error.message)
    log.error("a call failed unexpectedly", exc_info=error)
    return Code.INTERNAL, truncated(f"Unexpected {type(error).__name__}; see the log")


def truncated(message: str) -> str:
    """A text short enough for a status: 1024 bytes, then a mark."""
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= MOST_DETAIL_BYTES:
        return encoded.decode()
    return encoded[:MOST_DETAIL_BYTES].decode("utf-8", "ignore") + "...TRUNCATED"
