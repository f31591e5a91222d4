"""What both HTTP doors add to uvicorn's HTTP/1.1 protocol before their own limits.

Whose answer is due, what a refused message may still do, and a hang-up that also reaches a caller who
never reads. The gateway's connection.py and the model server's rest_connection.py put their limits on top.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_S = 5.0
"""So long a caller may take to read a last answer before the connection is cut."""


class HttpConnection(HttpToolsProtocol):
    """One caller's connection, counting the bytes that belong to no body."""

    head_bytes = 0
    """Of a head; in a body, of what frames its chunks and trails them."""
    head_timer: asyncio.TimerHandle | None = None
    """Runs while a head is awaited or under way."""

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
