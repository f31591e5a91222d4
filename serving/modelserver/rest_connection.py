"""uvicorn's HTTP/1.1 protocol with the limits that it leaves to others.

A head that is too long or too slow, an answer that nobody takes, connections that are never used, and
more connections than there is room for: rest_limits.py knows the numbers, this room acts on them.
"""

import asyncio
import contextlib
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.errors import Unavailable
from serving.http_connection import HttpConnection
from serving.modelserver.rest_limits import GuestBook, RestLimits
from serving.wire import rest_json

MOST_HEAD_BYTES = 64 * 1024


class Connection(HttpConnection):
    """One caller's connection. An unused one may stay for a while; what has begun must end in time."""

    limits = RestLimits()
    guests = GuestBook()
    idle_s = 300.0
    in_head = False
    refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, if need be instead of the one that has been idle for longest."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.idle_s, self.timeout_keep_alive_handler)
        try:
            leaving = self.guests.enters(self)
        except Unavailable as error:
            self.refuse(503, error.message)
            return
        if isinstance(leaving, Connection):
            leaving.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget timers and place with the connection."""
        self._unset_keepalive_if_required()
        self.guests.leaves(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of an unfinished head on their way to the parser."""
        if self.refused or self.transport.is_closing():
            return
        self.guests.is_busy(self)
        if self.head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self.head_timer = self.loop.call_later(self.limits.silence_s, self.refuse, 408, "The head is too slow")
        self.head_bytes += len(data)
        super().data_received(data)
        if self.head_bytes > MOST_HEAD_BYTES:
            self.refuse(431, f"The request's head, or what trails its body, is larger than {MOST_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A further request on a kept connection has its own room for its head."""
        self.head_bytes, self.in_head = 0, True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers of a head; nobody reads trailers."""
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Make a request of the head."""
        self.head_bytes, self.in_head = 0, False
        self.forget_head()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Idle, unless a further request waits already."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self.guests.is_idle(self)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in our own form."""
        self.refuse(400, "This is not an HTTP/1.1 request")

    def refuse(self, status: int, message: str) -> None:
        """Answer what is being read in place of the app and hang up, also on a caller that does not read.

        Our side is closed first and what still comes is dropped: closing at once while bytes wait unread
        would take the answer away from the caller.
        """
        self.forget_head()
        if self.refused or self.transport.is_closing():
            return
        if not self.may_answer():
            self.transport.close()
        else:
            self.refused = True
            self.give_up()
            self.transport.write(_reply(status, message))
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()
        self.cut_soon()


def connection_class(limits: RestLimits, idle_s: float) -> type[Connection]:
    """The protocol for uvicorn's `http` setting; uvicorn makes one object of it per connection."""
    members = {
        "limits": limits,
        "idle_s": idle_s,
        "answer_s": limits.body_s,
        "guests": GuestBook(limits.most_connections),
    }
    return type("LimitedConnection", (Connection,), members)


def _reply(status: int, message: str) -> bytes:
    body = rest_json.error_answer(message)
    head: list[Any] = [
        STATUS_LINE[status],
        b"content-type: application/json\r\n",
        b"content-length: %d\r\n" % len(body),
        b"connection: close\r\n\r\n",
    ]
    return b"".join([*head, body])
