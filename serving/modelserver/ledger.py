"""Bytes that strangers make the server keep, counted over all callers: bodies on their way, tensors filled in."""

import threading
from types import TracebackType
from typing import Self

from serving import memory
from serving.errors import BodyTooLarge, Unavailable

_SHARE_OF_MEMORY = 4


class Ledger:
    """The bytes of bodies, or of something else, that are held over all connections. Thread-safe."""

    def __init__(self, most: int = 0, of: str = "Bodies") -> None:
        self.most = most or memory.allowed_bytes() // _SHARE_OF_MEMORY
        self.held = 0
        self._of = of
        self._lock = threading.Lock()

    def take(self, count: int, held: "Held") -> None:
        """Hold more bytes.

        Args:
            count: how many more.
            held: by this request.

        Raises:
            BodyTooLarge: the request alone is more than all may hold.
            Unavailable: there is no room beside the others.
        """
        if held.count + count > self.most:
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
            held.count += count

    def give_back(self, held: "Held", count: int, down_to: int) -> None:
        """Hold so much less of this request, but not less than down_to, however many threads say so."""
        with self._lock:
            less = max(0, min(count, held.count - down_to))
            self.held -= less
            held.count -= less


class Held:
    """What one request holds of a ledger; given back at `release`, or at the end of the block."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self.count = ledger, 0

    def take(self, count: int) -> None:
        """See Ledger.take."""
        self._ledger.take(count, self)

    def release(self, down_to: int = 0) -> None:
        """Give back all but so much; once is enough."""
        if self.count > down_to:
            self._ledger.give_back(self, self.count, down_to)

    def give_back(self, count: int) -> None:
        """Hold so much less."""
        if count:
            self._ledger.give_back(self, count, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
