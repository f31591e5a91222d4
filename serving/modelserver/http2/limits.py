"""What one connection may do, and for how long."""

import time
from dataclasses import dataclass
from math import inf

from serving.modelserver.http2.frames import ConnectionFault, ErrorCode

STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 1 << 24
"""Bytes of requests that may be on their way."""
MOST_NOISE = 10_000
"""Frames that bring nothing; half of that is forgiven each second."""
STREAMS_PER_NOISE = 64
"""So many streams that have to be looked at count as one such frame."""
LEAST_DATA_BYTES = 64
"""Frames of less data than this are such frames, unless a request begins or ends with them."""
USUAL_HEADERS, HEADERS_PER_NOISE = 64, 4
"""More headers than are usual count as such frames too, for each is decoded by itself."""
NOISE_OF_TOO_LARGE = 250
UPDATES_PER_DATA, FREE_UPDATES = 4, 1000
"""Windows that a caller may open for each frame of data that it gets, and at any time; others are such frames."""


class Noise:
    """Frames that cost work and bring nothing: a caller may send some, as all callers do."""

    def __init__(self) -> None:
        self._count, self._forgiven_at = 0, time.monotonic()

    def add(self, weight: int = 1) -> None:
        """One more.

        Raises:
            ConnectionFault: far too many.
        """
        self._count += weight
        if self._count > MOST_NOISE:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    def forgive(self, now: float) -> None:
        """As many as the time since the last call makes good."""
        self._count = max(0, self._count - int(MOST_NOISE / 2 * (now - self._forgiven_at)))
        self._forgiven_at = now


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may do. Times in seconds."""

    most_streams: int = 4096
    silence_s: float = 30.0
    """Longest silence in the middle of a request, and of a socket or a window that takes no answer."""
    whole_s: float = 600.0
    """Longest time for a request to come, and for its answer to be taken."""
    age_s: float = inf
    """After so long the caller is asked to connect anew."""
    grace_s: float = inf
    """Requests that were under way then are cut off after so long again."""
    last_call_s: float = 0.1
    """Requests that are sent in this time after that are still taken: they were on their way."""
    idle_s: float = inf
    """A connection that is not used for so long is closed."""
