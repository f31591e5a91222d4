"""Connection: uvicorn's HTTP/1.1 protocol with the limits that it leaves to others.

A head that is too long or too slow, a caller that never reads its answer, more connections than
allowed: all end here, on the event loop, before a request exists. Bodies are `front.py`'s.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.gateway.config import GatewayConfig
from serving.gateway.problems import document, reply

LINGER_S = 5.0
LOST_KEY = "gateway.lost"
"""Where the ASGI scope carries a set of functions that are called if the connection ends."""


class Connection(HttpToolsProtocol):
    """One caller's connection."""

    limits: ClassVar[GatewayConfig]
    head_bytes = 0
    """Of a head; in a body, of what frames its chunks and trails them."""
    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Close what is over the limit; start waiting for the first head."""
        self.lost: set[Callable[[], None]] = set()
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            transport.abort()
            return
        self.expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers with the connection, and tell whoever waits for something on its behalf."""
        self.forget_head()
        super().connection_lost(exc)
        for act in tuple(self.lost):
            act()

    def expect_head(self) -> None:
        """From now on, a whole head must come before the time is over."""
        self.head_bytes = 0
        self.head_timer = self.loop.call_later(self.limits.head_timeout_s, self.refuse_late_head)

    def forget_head(self) -> None:
        """The head is there, or nobody waits for it any more."""
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def refuse_late_head(self) -> None:
        """Answer 408 to half a head, close an unused connection silently."""
        self.head_timer = None
        if self.head_bytes:
            self.refuse(408, "Slow body", "the head of the request took too long to arrive")
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of an unfinished head on their way to the parser."""
        if self.transport.is_closing():
            return
        self.head_bytes += len(data)
        super().data_received(data)
        if self.head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self.expect_head()  # stray bytes after an answer must not keep the connection for ever
        if self.head_bytes > self.limits.max_header_bytes:
            self.refuse_long_head()

    def on_message_begin(self) -> None:
        """A further request on a kept connection has its own time and room for its head."""
        super().on_message_begin()
        self.scope[LOST_KEY] = self.lost  # type: ignore[literal-required]
        if self.head_timer is None:
            self.expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers of a head; nobody reads trailers."""
        if self.head_timer is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse a long head that came in one piece, else make a request of it."""
        self.forget_head()
        self.head_bytes = 0
        if self.transport.is_closing():
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_header_bytes:
            self.refuse_long_head()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Body bytes belong to a request, unless its head was refused."""
        if self.head_timer is None:
            self.head_bytes = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The same for the end of a body."""
        self.head_bytes = 0
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in our own form."""
        self.refuse(400, "Bad input", "this is not an HTTP/1.1 request")

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection even if its caller never reads what was sent."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def refuse_long_head(self) -> None:
        """Answer 431, to long trailers too."""
        most = self.limits.max_header_bytes
        self.refuse(431, "Head too large", f"line and headers must fit in {most} bytes, and so must trailers")

    def refuse(self, status: int, title: str, detail: str) -> None:
        """Answer what is being read in place of the app, unless another answer is due first, and close."""
        self.forget_head()
        if self.transport.is_closing():
            return
        if self.may_answer():
            self.give_up()
            _, headers, body = reply(document(status, title, detail, os.urandom(16).hex()))
            lines = [STATUS_LINE[status], *(b"%s: %s\r\n" % pair for pair in headers), b"connection: close\r\n\r\n"]
            self.transport.write(b"".join([*lines, body]))
        self.transport.close()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def may_answer(self) -> bool:
        """Whether the next answer on the wire is the one to the message that is being read."""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self.cycle.more_body and not self.cycle.response_started and not self.pipeline

    def give_up(self) -> None:
        """Tell the request that is being read, if there is one, that its caller has left."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


def connection_class(config: GatewayConfig) -> type[Connection]:
    """The protocol for uvicorn's `http` setting; uvicorn makes one object of it per connection."""
    return type("LimitedConnection", (Connection,), {"limits": config})
