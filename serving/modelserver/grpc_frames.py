"""gRPC's part of an HTTP/2 exchange: messages in the body, times in headers, the status in trailers.

Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md in the grpc repository).
"""

import re
import struct
import zlib
from collections.abc import Callable
from urllib.parse import quote

from serving.errors import BadInput, Code, Overloaded, ServingError, Unimplemented
from serving.modelserver.grpc_methods import MOST_MESSAGE_BYTES
from serving.modelserver.http2.header_blocks import block

PREFIX = struct.Struct(">BI")
"""Whether the message is compressed, and its length."""

BEGIN = block({b":status": b"200", b"content-type": b"application/grpc"})
"""Headers that begin an answer."""
WELL = block({b"grpc-status": b"0"})
"""Trailers that end it."""
WRONG_KIND = block({b":status": b"415"})
"""To a caller who does not speak gRPC at all."""

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_LONGEST_S = 1e9
"""Longer than anybody waits, and short enough for every clock."""
_PACKED_BYTES, _UNPACKED_BYTES = 1 << 16, 1 << 20
"""Compressed messages are unpacked in steps of this size, so that one that unpacks without end is stopped."""
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
ENCODINGS = b"identity,deflate,gzip"


def failed(code: Code, message: str, *, begun: bool = False) -> bytes:
    """The header block that ends an answer with an error; the only one, unless the answer has begun."""
    headers = {
        b"grpc-status": b"%d" % code,
        b"grpc-message": quote(message, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~").encode(),
    }
    if begun:
        return block(headers)
    head = {b":status": b"200", b"content-type": b"application/grpc"}
    if code is Code.UNIMPLEMENTED:
        head[b"grpc-accept-encoding"] = ENCODINGS
    return block(head | headers)


def framed(message: bytes) -> tuple[bytes, bytes]:
    """A message as it stands in a body, in two pieces: it may be large."""
    return PREFIX.pack(0, len(message)), message


def timeout_s(header: bytes) -> float:
    """The seconds that grpc-timeout gives.

    Raises:
        BadInput: it is no time.
    """
    found = _TIMEOUT.fullmatch(header)
    if found is None:
        raise BadInput(f"grpc-timeout is one to eight digits and one of H, M, S, m, u, n; was {header[:32]!r}")
    return min(int(found[1]) * _UNITS[found[2]], _LONGEST_S)


class MessageReader:
    """The messages of a body, out of whatever pieces it comes in."""

    def __init__(self, encoding: bytes, take: Callable[[int], None]) -> None:
        """Begin.

        Args:
            encoding: the header grpc-encoding.
            take: is told of every byte before it is kept; may refuse by a ServingError.
        """
        self._encoding, self._take = encoding, take
        self._prefix = b""
        self._packed = self._left = 0
        self._partial = bytearray()
        self._ready: list[tuple[int, bytes | bytearray]] = []

    @property
    def in_message(self) -> bool:
        """Whether some of a message has come, and not all."""
        return bool(self._prefix)

    @property
    def waiting(self) -> int:
        """Messages that are complete and were not given out."""
        return len(self._ready)

    def feed(self, part: memoryview) -> None:
        """Take some more; the memory is not needed afterwards.

        Raises:
            ServingError: `take` refuses, or what has come is no message.
        """
        while part:
            if len(self._prefix) < PREFIX.size:
                missing = PREFIX.size - len(self._prefix)
                self._prefix += bytes(part[:missing])
                part = part[missing:]
                if len(self._prefix) < PREFIX.size:
                    return
                self._begin()
            piece, part = part[: self._left], part[self._left :]
            self._take(len(piece))
            self._left -= len(piece)
            if self._left or self._partial:
                self._partial += piece
            if not self._left:
                self._ready.append((self._packed, self._partial or bytes(piece)))
                self._prefix, self._partial = b"", bytearray()

    def _begin(self) -> None:
        self._take(PREFIX.size)  # messages of nothing cost something too
        self._packed, self._left = PREFIX.unpack(self._prefix)
        if self._packed > 1:
            raise ServingError("The first byte of a gRPC message is 0 or 1")
        if self._left > MOST_MESSAGE_BYTES:
            raise Overloaded(f"Received message larger than max ({self._left} vs. {MOST_MESSAGE_BYTES})")

    def messages(self) -> list[bytes]:
        """Those that are complete; each is given out once. It may take a while where they are large.

        Raises:
            ServingError: one cannot be unpacked, or `take` refuses what it unpacks to.
        """
        ready, self._ready = self._ready, []
        return [self._unpacked(message) if packed else bytes(message) for packed, message in ready]

    def _unpacked(self, message: bytes | bytearray) -> bytes:
        """As it was before it was compressed.

        Raises:
            Unimplemented: in a way that is not known here.
            ServingError: it was not, or is damaged, or unpacks to more than `take` allows.
        """
        if self._encoding in (b"", b"identity"):
            raise ServingError("A message says that it is compressed, and grpc-encoding does not say how")
        if self._encoding not in _WINDOW_BITS:
            raise Unimplemented(f"Messages may be compressed by {ENCODINGS.decode()}, not by {self._encoding[:32]!r}")
        unpack = zlib.decompressobj(_WINDOW_BITS[self._encoding])
        view, place = memoryview(message), 0
        piece: bytes | memoryview = b""
        parts: list[bytes] = []
        try:
            while not unpack.eof:
                if not piece:
                    piece, place = view[place : place + _PACKED_BYTES], place + _PACKED_BYTES
                part = unpack.decompress(piece, _UNPACKED_BYTES)
                if not part and not piece:
                    break
                self._take(len(part))
                parts.append(part)
                piece = unpack.unconsumed_tail
        except zlib.error as error:
            raise ServingError(f"A compressed message cannot be unpacked: {error}") from error
        if not unpack.eof:
            raise ServingError("A compressed message is cut short")
        return b"".join(parts)
