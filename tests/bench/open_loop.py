"""Load at a fixed arrival rate: requests are due at times drawn beforehand, whatever the answers do.

Latency is counted from when a request was due, not from when a connection was free to send it.
A closed loop asks less while the server is slow and so leaves out the very requests that would
have waited (coordinated omission); here they are in the figures.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.asks import Ask

CONNECTIONS = 256
"""More than a server lets wait, so that it is the server that queues or sheds, not the generator."""
LATE_S = 0.005
"""A request sent so much after it was due, though a connection was free, is the generator's own delay."""


@dataclass(frozen=True, slots=True)
class OpenFigures:
    """What one spell at a fixed rate showed."""

    offered_per_second: float
    answered_per_second: float
    failed: int
    """Refused, or without an answer."""
    latencies_s: Sequence[float]
    """Of the requests answered well, from when each was due."""
    generator_cpu: float
    """Share of one core."""
    late: float
    """Share of requests that the generator itself sent late."""

    def row(self) -> dict[str, float]:
        """The figures by name."""
        found = np.quantile(self.latencies_s, (0.5, 0.9, 0.99)) if self.latencies_s else [float("nan")] * 3
        p50, p90, p99 = (1000 * float(value) for value in found)
        return {
            "offered_per_second": self.offered_per_second,
            "answered_per_second": self.answered_per_second,
            "failed": self.failed,
            "p50_ms": p50,
            "p90_ms": p90,
            "p99_ms": p99,
            "generator_cpu": self.generator_cpu,
            "late": self.late,
        }


def arrivals(per_second: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which requests are due: a Poisson process, as independent users make."""
    count = max(1, round(per_second * seconds))
    gaps = np.random.default_rng(seed).exponential(1.0, count + 1)
    times = np.cumsum(gaps)[:-1] * (count / per_second) / gaps.sum()
    return [float(each) for each in times]


def open_loop(asks: Sequence[Ask], per_second: float, seconds: float, seed: int = 1) -> OpenFigures:
    """Offer so many requests a second for so long; waits for the answers to the last of them."""
    due = arrivals(per_second, seconds, seed)
    turn, answered, failed, late = itertools.count(), [], itertools.count(), itertools.count()
    start, cpu = time.perf_counter() + 0.05, time.process_time()

    def work(ask: Ask) -> None:
        while (number := next(turn)) < len(due):
            when = start + due[number]
            wait_s = when - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
                if time.perf_counter() - when > LATE_S:
                    next(late)
            try:
                ask()
                answered.append(time.perf_counter() - when)
            except (OSError, RuntimeError):
                next(failed)

    _together([lambda ask=ask: work(ask) for ask in asks])  # type: ignore[misc]
    took = time.perf_counter() - start
    return OpenFigures(
        offered_per_second=len(due) / (count_s := max(seconds, due[-1])),
        answered_per_second=len(answered) / max(took, count_s),
        failed=next(failed),
        latencies_s=answered,
        generator_cpu=(time.process_time() - cpu) / took,
        late=next(late) / len(due),
    )


def _together(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
