"""What both HTTP doors add to uvicorn's HTTP/1.1 protocol before their own limits.

Whose answer is due, what a refused message may still do, a hang-up that also reaches a caller who never
reads, and offers to speak another protocol, which nobody takes here. The gateway's connection.py and the
model server's rest_connection.py put their limits on top.
"""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_S = 5.0
"""So long a caller may take to read a last answer before the connection is cut."""


class HttpConnection(HttpToolsProtocol):
    """One caller's connection, counting the bytes that belong to no body."""

    head_bytes = 0
    """Of a head; in a body, of what frames its chunks and trails them."""
    head_timer: asyncio.TimerHandle | None = None
    """Runs while a head is awaited or under way."""

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is no HTTP is refused."""
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("")

    def _parse(self, data: bytes) -> None:
        """Ignore offers of another protocol, as HTTP lets a server do: Java's client makes one for HTTP/2.

        The parser takes the offer for accepted: it skips the body, and what follows would be a request of its
        own, whoever wrote it. So the same message is read again without the offer by a parser that never saw it.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                head, data = self._head_without_offer(), data[offer.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)

    def _head_without_offer(self) -> bytes:
        """Of the message whose head has just been read."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("This is no proxy")
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % pair for pair in self.scope["headers"] if pair[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        """Make a request of the head, unless it comes again without an offer."""
        if not self.parser.should_upgrade():
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
        if not self.transport.is_closing() and not self.parser.should_upgrade():
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection even if its caller never reads what was sent."""
        super().timeout_keep_alive_handler()
        self.cut_soon()

    def cut_soon(self) -> None:
        """Whatever the caller does, the connection ends within LINGER_S."""
        self.loop.call_later(LINGER_S, self.transport.abort)

    def forget_head(self) -> None:
        """The head is there, or nobody waits for it any more."""
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

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
