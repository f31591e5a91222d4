"""One stream: a request on its way in, its answer on its way out."""

import time
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Protocol


class Exchange(Protocol):
    """What a server makes of one request. Called on the thread that reads, so it must not wait for anything.

    `done` alone may be called on any thread, and while the connection's lock is held: it must not send, nor take a
    lock under which anybody sends.
    """

    def data(self, part: memoryview) -> None:
        """More of the body; the memory is good only until this returns."""

    def end(self) -> None:
        """The request is complete."""

    def gone(self) -> None:
        """Nobody waits for the answer any more: the caller has reset the stream, or left."""

    def done(self) -> None:
        """The answer is out. Either this comes or `gone`, once."""

    def late(self) -> None:
        """The request has not been sent on for too long; it must be answered."""

    def expired(self) -> None:
        """The time that the stream was given is over."""


class Nobody:
    """An exchange that is over before it has begun."""

    def data(self, part: memoryview) -> None:
        """Nobody reads it."""

    def end(self) -> None:
        """Nobody waits for it."""

    def gone(self) -> None:
        """Nobody minds."""

    def done(self) -> None:
        """Nobody minds."""

    def late(self) -> None:
        """Nobody waits for it."""

    def expired(self) -> None:
        """Nobody waits for it."""


NOBODY = Nobody()


class Sender(Protocol):
    """The sending side of a connection."""

    first_window: int
    """Of a new stream."""

    def send(self, stream: "Stream", head: bytes, data: Sequence[bytes], trailers: bytes | None) -> None:
        """See Stream.send."""


class Stream:
    """Both directions of one exchange; `send` may be called from any thread."""

    __slots__ = (
        "began",
        "closed",
        "ended",
        "exchange",
        "expires_at",
        "moved",
        "number",
        "out",
        "pending",
        "promised",
        "receive_window",
        "taken",
        "trailers",
        "waiting",
        "window",
    )

    def __init__(self, number: int, out: Sender, receive_window: int) -> None:
        self.number, self.out = number, out
        self.window = out.first_window
        """Bytes of data that the caller still takes; may be negative."""
        self.receive_window = receive_window
        """Bytes of data that the caller may still send."""
        self.promised: int | None = None
        """Bytes of data that are yet to come, where the caller has said how many."""
        self.exchange: Exchange = NOBODY
        self.pending: deque[memoryview] | tuple[()] = ()
        """Data that waits for a window, or for the socket."""
        self.waiting = 0
        """Bytes of it."""
        self.trailers: bytes | None = None
        """The block that ends the answer, once all data is out."""
        self.began = self.moved = time.monotonic()
        """When it began, and when the caller last sent some of the request, or data began to wait for it."""
        self.expires_at = inf
        """When the caller stops waiting, in time.monotonic() seconds."""
        self.taken = self.began
        """When the caller last took some of an answer that waits."""
        self.ended = False
        """The caller has sent all."""
        self.closed = False
        """Nothing more goes out."""

    def send(self, head: bytes = b"", data: Sequence[bytes] = (), trailers: bytes | None = None) -> None:
        """Send parts of the answer, in this order; what the caller no longer wants is dropped.

        Args:
            head: a header block that begins the answer.
            data: bytes of the body, in pieces, for to join large ones would cost a copy.
            trailers: a header block that ends it.
        """
        self.out.send(self, head, data, trailers)
