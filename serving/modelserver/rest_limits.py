"""What strangers may take of the REST port: bytes, time and connections, each with an end.

rest_app.py and rest_body.py ask the ledger before they keep bytes, rest_connection.py asks the guest
book before it keeps a connection. This room knows sizes and counts, and no HTTP.
"""

import contextlib
import resource
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.errors import BodyTooLarge, Unavailable

_SHARE_OF_MEMORY = 4
_MOST_CONNECTIONS = 8192
_FEWEST_CONNECTIONS = 64
_CGROUP = Path("/sys/fs/cgroup")


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


class Ledger:
    """The bytes of bodies, or of something else, that are held over all connections. Thread-safe."""

    def __init__(self, most: int = 0, of: str = "Bodies") -> None:
        self.most = most or memory_bytes() // _SHARE_OF_MEMORY
        self.held = 0
        self._of = of
        self._lock = threading.Lock()

    def take(self, count: int, own: int) -> None:
        """Hold more bytes.

        Args:
            count: how many more.
            own: what the same request holds already.

        Raises:
            BodyTooLarge: the request alone is more than all may hold.
            Unavailable: there is no room beside the others.
        """
        if own + count > self.most:
            raise BodyTooLarge(
                f"The request's body is larger than the {self.most} bytes that all bodies together may take here; "
                "start the server with a larger --rest_api_most_buffered_bytes, or send less at a time"
            )
        with self._lock:
            if self.held + count > self.most:
                raise Unavailable(
                    f"{self._of} of {self.held} bytes are held already and at most {self.most} may be; try again later",
                    retry_after_s=1,
                )
            self.held += count

    def give_back(self, count: int) -> None:
        """Hold so many less."""
        with self._lock:
            self.held -= count


class Held:
    """What one request holds of a ledger; given back at `release`, or at the end of the block."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self.count = ledger, 0

    def take(self, count: int) -> None:
        """See Ledger.take."""
        self._ledger.take(count, self.count)
        self.count += count

    def release(self) -> None:
        """Give everything back; once is enough."""
        if self.count:
            self._ledger.give_back(self.count)
            self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


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


def memory_bytes(root: Path = _CGROUP) -> int:
    """What this process may use: the machine's memory, or its container's share."""
    pages = Path("/proc/meminfo").read_text().split("MemTotal:", 1)[1].split()
    sizes = [int(pages[0]) * 1024]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int((root / name).read_text()))
    return min(sizes)


def most_connections() -> int:
    """For each door: three eighths of the files that may be open, so that models can still be read."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, files * 3 // 8))
