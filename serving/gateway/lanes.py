"""Lanes: which requests share threads, and how many may.

`front.py` sends every request down one lane. Where models answer elsewhere, classifying has more threads than
`admission.py` ever lets in, so whoever is admitted starts at once. Where they run on these cores, a few threads
take what was let in one after the other: a thread that finds its next work waiting need not be woken for it.
The other lanes are small and apart from it. Whoever asks whether the process lives is never refused, or strangers
who ask often could have it restarted.
"""

import sys
from dataclasses import dataclass, field

from serving.gateway.crew import Crew
from serving.gateway.problems import Reply

GUARDED = "/v1/"
PROBES = frozenset({"/livez", "/readyz"})
METRICS = "/metrics"


@dataclass(slots=True)
class Lane:
    """Threads and how many requests are in it; touched by the event loop only."""

    name: str
    threads: int
    most: int
    """Requests in the lane at once, running or waiting for a thread."""
    admitted: bool = False
    """Requests ask admission for a turn first."""
    guarded: bool = True
    """Requests need an API key, where keys are used."""
    inside: int = 0
    crew: Crew[Reply] = field(init=False)

    def __post_init__(self) -> None:
        """Make the crew."""
        self.crew = Crew(self.threads, self.name)

    def enter(self) -> bool:
        """Take a place, if there is one."""
        if self.inside >= self.most:
            return False
        self.inside += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self.inside -= 1


class Lanes:
    """All lanes of one gateway."""

    def __init__(self, max_in_flight: int, work_threads: int = 0) -> None:
        """Args: work_threads: for whoever is admitted; 0: as many as may be."""
        most = max_in_flight + 2
        self.work = Lane("work", min(work_threads or most, most), most, admitted=True)
        self.tell = Lane("tell", 4, 64)
        self.show = Lane("show", 2, 64, guarded=False)
        self.probe = Lane("probe", 2, sys.maxsize, guarded=False)  # no more than there are connections, each a moment
        self.count = Lane("count", 1, 32, guarded=False)
        self._all = (self.work, self.tell, self.show, self.probe, self.count)

    def of(self, method: str, path: str, *, passes: bool = False) -> Lane:
        """The lane of a request; `passes` if it is handed on to the model server's REST."""
        path = f"/{path.lstrip('/')}"  # as the routes see it: `//v1` leads to them too, and must not slip in unguarded
        if path in PROBES:
            return self.probe
        if path == METRICS:
            return self.count
        if not passes and not path.startswith(GUARDED):
            return self.show
        return self.work if method == "POST" else self.tell

    def warm(self) -> None:
        """Start all threads."""
        for lane in self._all:
            lane.crew.start()

    def close(self) -> None:
        """Start nothing more; threads end with the work that they have."""
        for lane in self._all:
            lane.crew.close()
