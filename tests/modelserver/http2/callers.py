"""A caller who writes HTTP/2 frames by hand, and so can break every rule; it shares no code with the server."""

import socket
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import hpack

from tests.modelserver.http2.doors import Stage

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, _, FLOW_CONTROL_ERROR, _, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = range(9)
COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM = range(9, 12)
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 4, 5


class Frame(NamedTuple):
    """One frame, as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of RST_STREAM, or of GOAWAY."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload, "big")


class Answer(NamedTuple):
    """All of one answer."""

    head: dict[str, str]
    body: bytes
    trailers: dict[str, str]

    @property
    def status(self) -> int:
        """Of gRPC."""
        return int((self.trailers or self.head)["grpc-status"])

    @property
    def message(self) -> bytes:
        """The first of the body, whose prefix must be right."""
        assert self.body[:1] == b"\0"
        assert int.from_bytes(self.body[1:5], "big") == len(self.body) - 5
        return self.body[5:]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """As bytes."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A frame of SETTINGS."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", more))


def literals(*fields: tuple[str, str]) -> bytes:
    """A header block without compression, whatever the fields are."""
    parts = []
    for text in (text.encode("latin-1") for pair in fields for text in pair):
        parts.append(bytes(hpack.hpack.encode_integer(len(text), 7)) + text)
    return b"".join(b"\0" + name + value for name, value in zip(parts[::2], parts[1::2], strict=True))


def request_fields(method: str = "Echo", **changes: Any) -> dict[str, str]:
    """The headers of a call; an underscore in a name is a hyphen, None leaves one out."""
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method if method[:1] in ("", "/") else f"/test.Acts/{method}",
        ":authority": "test",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in fields.items() if value is not None}


def call_head(stream: int, method: str = "Echo", flags: int = END_HEADERS, **changes: Any) -> bytes:
    """HEADERS that begin a call."""
    return frame(HEADERS, flags, stream, literals(*request_fields(method, **changes).items()))


def framed(message: bytes, packed: int = 0) -> bytes:
    """A message with its prefix."""
    return struct.pack(">BI", packed, len(message)) + message


def bytes_value(value: bytes) -> bytes:
    """A google.protobuf.BytesValue of less than 128 bytes."""
    return b"\n" + bytes((len(value),)) + value if value else b""


def call(stream: int, method: str = "Echo", value: bytes = b"x", **changes: Any) -> bytes:
    """A whole call in two frames."""
    return call_head(stream, method, **changes) + frame(DATA, END_STREAM, stream, framed(bytes_value(value)))


class Caller:
    """A connection; use it as a context manager."""

    def __init__(self, place: Stage | int, *pairs: tuple[int, int], greet: bool = True, room_bytes: int = 0) -> None:
        """Connect.

        Args:
            place: a door, or a port.
            pairs: of the first SETTINGS.
            greet: say hello.
            room_bytes: of the system, for what is not read.
        """
        self.socket = socket.socket()
        self.socket.settimeout(20)
        if room_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
        self.socket.connect(("127.0.0.1", place if isinstance(place, int) else place.port))
        self._came = b""
        self._decoder = hpack.Decoder()
        self._pings = 0
        if greet:
            self.send(PREFACE, settings(*pairs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Frames, or anything else."""
        self.socket.sendall(b"".join(parts))

    def _exactly(self, count: int) -> bytes:
        while len(self._came) < count:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError
            self._came += part
        taken, self._came = self._came[:count], self._came[count:]
        return taken

    def frame(self) -> Frame:
        """The next one. Raises: EOFError, ConnectionError: there is none."""
        head = self._exactly(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return Frame(kind, flags, stream, self._exactly(int.from_bytes(head[:3], "big")))

    def next(self, kind: int, stream: int | None = None) -> Frame:
        """The next one of a kind; others are passed over."""
        while (found := self.frame()).kind != kind or stream not in (None, found.stream):
            pass
        return found

    def goaway(self) -> Frame:
        """What is said before the connection ends, which it must."""
        said = []
        try:
            while True:
                if (found := self.frame()).kind == GOAWAY:
                    said.append(found)
        except (EOFError, ConnectionResetError):
            return said[-1]

    def ends(self) -> bool:
        """Whether the connection ends; all that is said before is passed over."""
        try:
            while True:
                self.frame()
        except (EOFError, ConnectionResetError):
            return True

    def answer(self, stream: int) -> Answer:
        """The answer on one stream, which must come to a good end; data of others is passed over."""
        blocks: list[dict[str, str]] = []
        body = b""
        while True:
            found = self.frame()
            assert found.kind != GOAWAY or found.code == NO_ERROR, found
            fields: Mapping[Any, Any] = {}
            if found.kind == HEADERS:
                fields = {str(name): str(value) for name, value in self._decoder.decode(found.payload)}
            if found.stream != stream:
                continue
            assert found.kind != RST_STREAM, found
            if found.kind == HEADERS:
                blocks.append(dict(fields))
            if found.kind == DATA:
                body += found.payload
            if found.kind in (HEADERS, DATA) and found.flags & END_STREAM:
                return Answer(blocks[0], body, blocks[1] if len(blocks) > 1 else {})

    def answered(self) -> list[Frame]:
        """Everything up to the answer to a PING that is sent now: all that went before has been taken."""
        self._pings += 1
        payload = struct.pack(">Q", self._pings)
        self.send(frame(PING, payload=payload))
        found = []
        while (last := self.frame()).kind != PING or last.payload != payload:
            found.append(last)
        return found
