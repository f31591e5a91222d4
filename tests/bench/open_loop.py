"""Load at a fixed arrival rate: requests are due at times drawn beforehand, whatever the answers do.

Latency is counted from when a request was due, not from when a connection was free to send it.
A closed loop asks less while the server is slow and so leaves out the very requests that would
have waited (coordinated omission); here they are in the figures.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.asks import Ask
from tests.bench.load import quantile_ms, together

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
        return {
            "offered_per_second": self.offered_per_second,
            "answered_per_second": self.answered_per_second,
            "failed": self.failed,
            "p50_ms": quantile_ms(self.latencies_s, 0.5),
            "p90_ms": quantile_ms(self.latencies_s, 0.9),
            "p99_ms": quantile_ms(self.latencies_s, 0.99),
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

    together(work, asks)
    took = time.perf_counter() - start
    return OpenFigures(
        offered_per_second=len(due) / (count_s := max(seconds, due[-1])),
        answered_per_second=len(answered) / max(took, count_s),
        failed=next(failed),
        latencies_s=answered,
        generator_cpu=(time.process_time() - cpu) / took,
        late=next(late) / len(due),
    )
