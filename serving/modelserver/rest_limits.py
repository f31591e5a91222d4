"""What strangers may take of the REST port: bytes, time and connections, each with an end.

rest_app.py and rest_body.py ask ledger.py before they keep bytes, rest_connection.py asks the guest
book before it keeps a connection. This room knows sizes and counts, and no HTTP.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from serving.errors import Unavailable
from serving.http_connection import connections_that_fit

_MOST_CONNECTIONS = 8192
_FEWEST_CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RestLimits:
    """Everything that ends. Times in seconds."""

    run_s: float = 30.0
    """Longest run of a call."""
    silence_s: float = 30.0
    """Longest silence while a request is being sent, and longest time for its head."""
    body_s: float = 600.0
    """Longest time for a whole body, and for a whole answer to be taken."""
    most_body_bytes: int = 2**31 - 1
    """Of one request."""
    most_buffered_bytes: int = 0
    """Bodies of all requests together; 0: a quarter of the memory."""
    most_connections: int = 0
    """0: three eighths of the limit of open files, 8192 at most."""


class GuestBook:
    """The open connections, the unused ones in the order in which they fell idle. For the event loop alone."""

    def __init__(self, most: int = 0) -> None:
        self.most = most or most_connections()
        self.here = 0
        self._idle: OrderedDict[Hashable, None] = OrderedDict()

    def enters(self, guest: Hashable) -> Hashable | None:
        """A new connection, idle at first; returns the one that has to go for it.

        Raises:
            Unavailable: all are in use. It counts until it `leaves`.
        """
        self.here += 1
        if self.here > self.most:
            if not self._idle:
                raise Unavailable(f"{self.most} connections are in use; try again later", retry_after_s=1)
            longest, _ = self._idle.popitem(last=False)
            self._idle[guest] = None
            return longest
        self._idle[guest] = None
        return None

    def is_busy(self, guest: Hashable) -> None:
        """It sends, or waits for an answer."""
        self._idle.pop(guest, None)

    def is_idle(self, guest: Hashable) -> None:
        """It has its answer."""
        self._idle[guest] = None
        self._idle.move_to_end(guest)

    def leaves(self, guest: Hashable) -> None:
        """It is gone."""
        self.here -= 1
        self._idle.pop(guest, None)


def most_connections() -> int:
    """For each door: as many as the files that may be open allow, 8192 at most."""
    return max(_FEWEST_CONNECTIONS, connections_that_fit(_MOST_CONNECTIONS))
