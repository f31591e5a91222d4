"""HTTP/2's frames: their numbers, how one is written, and the two ways in which a caller can break the rules.

Source: RFC 9113, sections 4 (frames), 6 (kinds), 7 (error codes).
"""

import struct
from enum import IntEnum

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
WITH_PRIORITY = 0x20

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">IBI")
"""Length and kind in four bytes, flags, stream."""
HEAD_BYTES = HEAD.size
MOST_WINDOW = 2**31 - 1
STREAM_MASK = 2**31 - 1
"""The highest bit of a stream's number is reserved."""
FIRST_WINDOW = 65_535
"""Of a connection and of each stream, before anybody says otherwise."""
FIRST_TABLE_BYTES = 4096
"""Of HPACK's table, in the same way."""
LEAST_FRAME, MOST_FRAME = 16_384, 2**24 - 1
"""Bounds of SETTINGS_MAX_FRAME_SIZE; the lower one holds until a peer says otherwise."""


class Setting(IntEnum):
    """Numbers in SETTINGS."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFault(Exception):
    """The connection cannot go on: GOAWAY with this code."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Malformed(Exception):
    """A request breaks the rules in its own stream alone, which is reset; the connection goes on."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


_LENGTHS = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_OF_THE_CONNECTION, _OF_A_STREAM = frozenset((SETTINGS, PING, GOAWAY)), frozenset((PRIORITY, RST_STREAM))


def check(kind: int, number: int, length: int) -> None:
    """See that a frame other than DATA and HEADERS is of its size and where it belongs.

    Raises:
        ConnectionFault: it is not.
    """
    if _LENGTHS.get(kind, length) != length or (kind == SETTINGS and length % 6):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of kind {kind} cannot have {length} bytes")
    if kind in (_OF_THE_CONNECTION if number else _OF_A_STREAM):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame of kind {kind} cannot be on stream {number}")


class TooLarge(Malformed):
    """A request with more headers than are taken; the message says so to its caller."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in values.items()))


def reset(stream: int, code: ErrorCode) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last_stream: int, code: ErrorCode, message: str = "") -> bytes:
    """A GOAWAY frame; the message is for whoever looks at the caller's log."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream, code) + message.encode()[:256])


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", more))


def without_padding(flags: int, payload: bytes) -> bytes:
    """What a padded frame says.

    Raises:
        ConnectionFault: more padding than frame.
    """
    if not flags & PADDED:
        return payload
    return payload[1 : len(payload) - padding(payload, len(payload))]


def padding(payload: bytes | memoryview, length: int) -> int:
    """The bytes of padding at the end of a padded frame of this length, by its first byte.

    Raises:
        ConnectionFault: more padding than frame.
    """
    if not length or payload[0] >= length:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame has more padding than room for it")
    return payload[0]
