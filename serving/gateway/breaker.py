"""When not to ask a back end that is away, and when a second try is affordable.

`remote.py` asks both before and after every call. Thread-safe; knows no gRPC.
"""

from threading import Lock
from time import monotonic

from serving.errors import Unavailable

FAILURES = 5
"""In a row, until the circuit opens."""
OPEN_S = 0.5
"""How long it stays open before one call may try again."""
PROBE_S = 10.0
"""A probe that has said nothing for so long is given up on."""
TOKENS = 10.0
SHARE = 0.1
"""Retries allowed per call that went well."""


class CircuitBreaker:
    """Closed: all calls go through. Open: none do. Half-open: one probe decides which it will be."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._probe_at: float | None = None

    def state(self) -> str:
        """Closed, open or half-open."""
        if self._opened_at is None:
            return "closed"
        return "half-open" if monotonic() - self._opened_at >= OPEN_S else "open"

    def enter(self) -> None:
        """Ask to make a call; `succeeded`, `failed` or `says_nothing` must follow.

        Raises:
            Unavailable: the back end is known to be away.
        """
        if (opened_at := self._opened_at) is None:
            return
        with self._lock:
            now = monotonic()
            probing = self._probe_at is not None and now - self._probe_at < PROBE_S
            if now - opened_at < OPEN_S or probing:
                raise Unavailable("the model server is away; try again after Retry-After", retry_after_s=1)
            self._probe_at = now

    def succeeded(self) -> None:
        """The back end answered, be it with an error of its own."""
        if self._failures or self._opened_at is not None:
            with self._lock:
                self._failures = 0
                self._opened_at = self._probe_at = None

    def says_nothing(self) -> None:
        """The call was never made, for a reason of its own: the next one may try in its place."""
        with self._lock:
            self._probe_at = None

    def failed(self) -> None:
        """The back end did not answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES:
                self._opened_at = monotonic()
                self._probe_at = None


class RetryBudget:
    """Retries as a small share of what goes well, so that they never multiply an outage."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens = TOKENS
        self.spent = 0

    def earn(self) -> None:
        """A call went well."""
        self._tokens = min(TOKENS, self._tokens + SHARE)

    def spend(self) -> bool:
        """Take one retry, if there is one left."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            self.spent += 1
            return True
