"""The body of a REST request: read whole on the event loop under limits, inflated on a worker thread."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.errors import BadInput, BodyTooLarge, Cancelled, SlowBody
from serving.modelserver.ledger import Held
from serving.modelserver.rest_limits import RestLimits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_INFLATED_BYTES = 100 * 2**20
"""As the original: a larger body must come uncompressed."""

_GZIP = 31  # zlib's way of saying "with a gzip header, window of any size"


async def read(receive: Receive, limits: RestLimits, held: Held) -> bytes:
    """The whole body.

    Args:
        receive: gives the next piece.
        limits: of size and time.
        held: takes the bytes that are kept; the caller releases it, whatever happens here.

    Raises:
        BodyTooLarge: more bytes than allowed.
        SlowBody: nothing came for too long, or all of it takes too long.
        Cancelled: the caller hung up.
        Unavailable: there is no room beside the bodies of others.
    """
    chunks: list[bytes] = []
    until = time.monotonic() + limits.body_s
    while True:
        message = await _next(receive, limits, until)
        if message["type"] == "http.disconnect":
            raise Cancelled("The caller hung up")
        chunk = message.get("body", b"")
        if held.count + len(chunk) > limits.most_body_bytes:
            raise BodyTooLarge(f"The request's body is larger than {limits.most_body_bytes} bytes")
        held.take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _next(receive: Receive, limits: RestLimits, until: float) -> MutableMapping[str, Any]:
    left = until - time.monotonic()
    try:
        return await asyncio.wait_for(receive(), max(0.0, min(limits.silence_s, left)))
    except TimeoutError:
        if left < limits.silence_s:
            raise SlowBody(f"The request's body was not there after {limits.body_s:g} s") from None
        raise SlowBody(f"The request's body stopped coming for {limits.silence_s:g} s") from None


def inflate(body: bytes, held: Held | None = None) -> bytes:
    """The text of a gzip body, of one member or several.

    Args:
        body: as it came.
        held: takes what it inflates to as well.

    Raises:
        BadInput: it is not gzip, or cut short.
        BodyTooLarge: it inflates to more than MOST_INFLATED_BYTES.
        Unavailable: there is no room beside the bodies of others.
    """
    parts: list[bytes] = []
    room = MOST_INFLATED_BYTES
    rest = body
    while rest:
        inflater = zlib.decompressobj(_GZIP)
        try:
            part = inflater.decompress(rest, room + 1)
        except zlib.error as error:
            raise BadInput(f"The request's body is not the gzip data that Content-Encoding says: {error}") from error
        if len(part) > room:
            raise BodyTooLarge(f"The request's body inflates to more than {MOST_INFLATED_BYTES} bytes")
        if not inflater.eof:
            raise BadInput("The request's gzip body is cut short")
        room -= len(part)
        if held is not None:
            held.take(len(part))
        parts.append(part)
        rest = inflater.unused_data
    return b"".join(parts)
