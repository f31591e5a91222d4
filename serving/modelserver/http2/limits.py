"""What one connection may do, and for how long."""

from dataclasses import dataclass
from math import inf

STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 1 << 24
"""Bytes of requests that may be on their way."""
MOST_NOISE = 10_000
"""Frames that bring nothing; half of that is forgiven each second."""
STREAMS_PER_NOISE = 64
"""So many streams that have to be looked at count as one such frame."""
MOST_UNREAD_BYTES = 1 << 26
"""A caller who does not take so much of the answers gets no further ones on this connection."""
LAST_CALL_S = 0.1
"""Requests that are sent in this time after the caller was told to go are still taken: they were on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may do. Times in seconds."""

    most_streams: int = 4096
    silence_s: float = 30.0
    """Longest silence in the middle of a request, and of a socket that takes no answer."""
    whole_s: float = 600.0
    """Longest time for a request to come, and for its answer to be taken."""
    age_s: float = inf
    """After so long the caller is asked to connect anew."""
    grace_s: float = inf
    """Requests that were under way then are cut off after so long again."""
    idle_s: float = inf
    """A connection that is not used for so long is closed."""
