"""What both HTTP doors add to uvicorn's HTTP/1.1 protocol before their own limits.

Whose answer is due, what a refused message may still do, a hang-up that also reaches a caller who never
reads, an end to requests that are sent before earlier ones are answered and to bodies in crumbs, and offers to
speak another protocol, which nobody takes here. The gateway's connection.py and the model server's
rest_connection.py put their limits on top.
"""

import asyncio
import contextlib
import resource
from collections import deque
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_S = 5.0
"""So long a caller may take to read a last answer before the connection is cut."""
MOST_PIPELINED = 16
"""Requests that may wait for the answers to earlier ones of their connection; uvicorn would take any number."""
FRAMING_PER_BYTE = 2
"""Bytes of framing that each byte of a body pays for; chunks of eight bytes and more pay for themselves."""


class HttpConnection(HttpToolsProtocol):
    """One caller's connection, counting the bytes that belong to no body."""

    head_bytes = 0
    """Of a head; in a body, of what frames its chunks and trails them."""
    head_timer: asyncio.TimerHandle | None = None
    """Runs while a head is awaited or under way."""
    answer_s: ClassVar[float] = 30.0
    """So long a caller may take to read an answer that does not fit into the buffers, or is the last."""
    answer_timer: asyncio.TimerHandle | None = None
    """Runs while such an answer waits to be read."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.earlier: deque[Any] = deque(maxlen=MOST_PIPELINED + 1)
        """Requests that were not answered yet when a further one came; uvicorn knows the last alone."""
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and tell every request on its way that nobody waits for it."""
        self.forget_head()
        self.answer_is_taken()
        super().connection_lost(exc)
        for cycle in self.earlier:
            cycle.disconnected = True
            cycle.message_event.set()

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
        """Make a request of the head, unless it comes again without an offer, or after too many."""
        if self.parser.should_upgrade():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if len(self.pipeline) >= MOST_PIPELINED:
                self.hang_up()
                return
            self.earlier.append(self.cycle)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Body bytes belong to a request, unless its head was refused; they pay for the framing around them."""
        if self.head_timer is None:
            self.head_bytes = max(0, self.head_bytes - FRAMING_PER_BYTE * len(body))
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

    def pause_writing(self) -> None:
        """The caller does not read its answer: it may not keep it here for ever."""
        super().pause_writing()
        self.wait_for_reader()

    def resume_writing(self) -> None:
        """It reads after all."""
        super().resume_writing()
        if not self.transport.is_closing():
            self.answer_is_taken()

    def on_response_complete(self) -> None:
        """An answer is in the buffers; the last must leave them in time too."""
        super().on_response_complete()
        if self.earlier and not self.pipeline:
            self.earlier.clear()  # the only one without an answer now is the last, if any
        if self.transport.is_closing():
            self.wait_for_reader()

    def shutdown(self) -> None:
        """Close what is idle, though its caller may not have read the last answer."""
        super().shutdown()
        if self.transport.is_closing():
            self.cut_soon()

    def wait_for_reader(self) -> None:
        """From now on the answer must be read in time."""
        if self.answer_timer is None:
            self.answer_timer = self.loop.call_later(self.answer_s, self.transport.abort)

    def answer_is_taken(self) -> None:
        """Nobody waits for an answer to be read any more."""
        if self.answer_timer is not None:
            self.answer_timer.cancel()
            self.answer_timer = None

    def hang_up(self) -> None:
        """Close, also on a caller who does not read."""
        self.transport.close()
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


def connections_that_fit(wanted: int) -> int:
    """So many, or three eighths of the files that may be open, so that models and logs find some too."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if files == resource.RLIM_INFINITY else min(wanted, files * 3 // 8)


def raise_file_limit() -> None:
    """Let this process hold as many connections as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
