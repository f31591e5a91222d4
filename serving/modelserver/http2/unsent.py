"""Bytes that a socket has not taken yet. Used under the lock of Outbound alone."""

import socket
import time
from collections.abc import Callable

from serving.modelserver.http2.frames import ConnectionFault, ErrorCode

_MOST_CONTROL_BYTES = 1024 * 1024
"""A caller who makes us answer PINGs and SETTINGS and reads none of it is hung up on."""


class Unsent:
    """Written at once where the socket takes it; what it does not take is kept, in order."""

    def __init__(self, connection: socket.socket, want_write: Callable[[bool], None]) -> None:
        """Args: want_write: has `resume` called when the socket takes bytes again, or stops that."""
        self._socket, self._want_write = connection, want_write
        self._left = bytearray()
        self._control_left = 0
        """Of these bytes, at most so many are of frames that the caller made us send."""
        self._moved = 0.0
        """When something began to wait for the socket, or the socket last took some of that."""
        self.broken = False
        self._asked = False
        """Whether `resume` is to be called."""

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return len(self._left)

    def write(self, data: bytes, *, control: bool = False) -> None:
        """Send, after what waits already.

        Raises:
            ConnectionFault: too much waits of what the caller made us send.
        """
        if self._left:
            self._left += data
        elif (sent := self._taken(data)) < len(data):
            self._left += memoryview(data)[sent:]
            self.go_on(False)
        if control and self._left:
            self._control_left += len(data)
            if self._control_left > _MOST_CONTROL_BYTES:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "read what is sent to you")

    def resume(self) -> None:
        """Send as much as the socket takes now."""
        sent = self._taken(self._left) if self._left else 0
        if sent or not self._left:
            self._moved = time.monotonic()
            del self._left[:sent]
            self._control_left = max(0, self._control_left - sent)

    def go_on(self, more: bool) -> None:
        """Have `resume` called while something waits here, or (more) would be written then."""
        if (ask := more or bool(self._left)) is not self._asked:
            self._asked, self._moved = ask, time.monotonic()
            self._want_write(ask)

    def stuck_s(self, now: float) -> float:
        """For how long the socket has not taken what waits for it."""
        return now - self._moved if self._asked else 0.0

    def clear(self) -> None:
        """Forget what waits."""
        self._left.clear()

    def _taken(self, data: bytes | bytearray) -> int:
        if self.broken:
            return len(data)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:  # the thread that reads finds out too, and ends the connection
            self.broken = True
            return len(data)
