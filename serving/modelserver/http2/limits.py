"""What one connection may do, and for how long."""

from dataclasses import dataclass
from math import inf


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
