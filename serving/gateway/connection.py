"""Connection: uvicorn's HTTP/1.1 protocol with the limits that it leaves to others.

A head that is too long or too slow, a caller that never reads its answer, more connections than
allowed: all end here, on the event loop, before a request exists. Bodies are `front.py`'s.
"""

import logging
import os
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.gateway.config import GatewayConfig
from serving.gateway.problems import document, reply
from serving.http_connection import HttpConnection, connections_that_fit

LOST_KEY = "gateway.lost"
"""Where the ASGI scope carries a set of functions that are called if the connection ends."""

WHOLE_KEY = "gateway.whole"
"""In the ASGI scope once the last byte of the request is there, so that nothing more has to be waited for."""

log = logging.getLogger(__name__)


class Connection(HttpConnection):
    """One caller's connection."""

    limits: ClassVar[GatewayConfig]
    most: ClassVar[int]
    """Connections at once."""
    in_head = False
    """A head has begun and is not whole yet."""

    def connection_made(self, transport: Any) -> None:
        """Close what is over the limit; start waiting for the first head."""
        self.lost: set[Callable[[], None]] = set()
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self.expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for something on its behalf."""
        super().connection_lost(exc)
        for act in tuple(self.lost):
            act()

    def expect_head(self) -> None:
        """From now on, a whole head must come before the time is over."""
        self.head_bytes = 0
        self.head_timer = self.loop.call_later(self.limits.head_timeout_s, self.refuse_late_head)

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
        if self.head_timer is None and (self.in_head or self.cycle is None or self.cycle.response_complete):
            self.expect_head()  # nor may stray bytes after an answer keep the connection for ever
        if self.head_bytes > self.limits.max_header_bytes:
            self.refuse_long_head()

    def on_message_begin(self) -> None:
        """A further request on a kept connection has its own time and room for its head."""
        super().on_message_begin()
        self.scope[LOST_KEY] = self.lost  # type: ignore[literal-required]
        self.in_head = True  # `data_received` sets its clock if it did not come in one piece, as nearly all do

    def on_headers_complete(self) -> None:
        """Refuse a long head that came in one piece, else make a request of it."""
        self.in_head = False
        self.forget_head()
        self.head_bytes = 0
        if self.transport.is_closing():
            return
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value) + 4
        if size > self.limits.max_header_bytes:
            self.refuse_long_head()
            return
        super().on_headers_complete()
        self.headers = []  # the scope has those of the head; what comes here now are trailers, and nobody reads them

    def on_message_complete(self) -> None:
        """Say so in the scope."""
        super().on_message_complete()
        self.scope[WHOLE_KEY] = True  # type: ignore[literal-required]

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in our own form."""
        self.refuse(400, "Bad input", "this is not an HTTP/1.1 request")

    def refuse_long_head(self) -> None:
        """Answer 431, to long trailers and to a body in crumbs too."""
        most = self.limits.max_header_bytes
        self.refuse(
            431,
            "Head too large",
            f"line and headers must fit in {most} bytes, and so must trailers and what frames chunks",
        )

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
        self.hang_up()


def connection_class(config: GatewayConfig) -> type[Connection]:
    """The protocol for uvicorn's `http` setting; uvicorn makes one object of it per connection."""
    members = {"limits": config, "answer_s": config.body_timeout_s, "most": _most_connections(config.max_connections)}
    return type("LimitedConnection", (Connection,), members)


def _most_connections(wanted: int) -> int:
    """As many as wanted, or fewer, with a warning."""
    most = connections_that_fit(wanted)
    if most < wanted:
        log.warning("at most %s connections at once, since no more files may be open (ulimit -n)", most)
    return most
