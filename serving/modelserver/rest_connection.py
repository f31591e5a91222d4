"""uvicorn's HTTP/1.1 protocol with the limits that it leaves to others: a head that is too long or too slow."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.wire import rest_json

MOST_HEAD_BYTES = 64 * 1024
LINGER_S = 5.0


class Connection(HttpToolsProtocol):
    """One caller's connection. An unused one may stay; a head that has begun must end in time."""

    head_timeout_s = 30.0
    head_bytes = 0
    head_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer with the connection."""
        self.head_is_over()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of an unfinished head on their way to the parser."""
        if self.transport.is_closing():
            return
        if self.head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self.head_timer = self.loop.call_later(self.head_timeout_s, self.refuse, 408, "The head is too slow")
        self.head_bytes += len(data)
        super().data_received(data)
        if self.head_timer is not None and self.head_bytes > MOST_HEAD_BYTES:
            self.refuse(431, f"The request's head is larger than {MOST_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A further request on a kept connection has its own room for its head."""
        self.head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Make a request of the head."""
        self.head_is_over()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Body bytes belong to a request, unless its head was refused."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The same for the end of a body."""
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in our own form."""
        self.refuse(400, "This is not an HTTP/1.1 request")

    def head_is_over(self) -> None:
        """Nobody waits for the rest of a head any more."""
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def refuse(self, status: int, message: str) -> None:
        """Answer without a request and close, also towards a caller that does not read."""
        self.head_is_over()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_reply(status, message))
        self.transport.close()
        self.loop.call_later(LINGER_S, self.transport.abort)


def connection_class(head_timeout_s: float) -> type[HttpToolsProtocol]:
    """The protocol for uvicorn's `http` setting; uvicorn makes one object of it per connection."""
    return type("TimedConnection", (Connection,), {"head_timeout_s": head_timeout_s})


def _reply(status: int, message: str) -> bytes:
    body = rest_json.error_answer(message)
    head: list[Any] = [
        STATUS_LINE[status],
        b"content-type: application/json\r\n",
        b"content-length: %d\r\n" % len(body),
        b"connection: close\r\n\r\n",
    ]
    return b"".join([*head, body])
