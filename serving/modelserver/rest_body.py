"""The body of a REST request: read whole on the event loop under limits, inflated on a worker thread."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.errors import BadInput, BodyTooLarge, Cancelled, SlowBody

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_INFLATED_BYTES = 100 * 2**20
"""As the original: a larger body must come uncompressed."""

_GZIP = 31  # zlib's way of saying "with a gzip header, window of any size"


async def read(receive: Receive, most_bytes: int, silence_s: float) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: more bytes than allowed.
        SlowBody: nothing came for too long.
        Cancelled: the caller hung up.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), silence_s)
        except TimeoutError:
            raise SlowBody(f"The request's body stopped coming for {silence_s:g} s") from None
        if message["type"] == "http.disconnect":
            raise Cancelled("The caller hung up")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most_bytes:
            raise BodyTooLarge(f"The request's body is larger than {most_bytes} bytes")
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def inflate(body: bytes) -> bytes:
    """The text of a gzip body, of one member or several.

    Raises:
        BadInput: it is not gzip, or cut short.
        BodyTooLarge: it inflates to more than MOST_INFLATED_BYTES.
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
        parts.append(part)
        rest = inflater.unused_data
    return b"".join(parts)
