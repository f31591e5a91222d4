"""Load on a server: closed loops (the next request when the last is answered) and paced ones.

The CPU of the server's process is taken over the same time, so that a figure per request does not
depend on who else uses the machine; asks.py has what is asked.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tests.bench.asks import Ask
from tests.processes import cpu_s

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one spell of load showed."""

    requests: int
    """Answered well."""
    failed: int
    seconds: float
    latencies_s: Sequence[float]
    server_cpu_s: float
    """CPU of the server process in that spell."""

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return self.requests / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Server CPU of one request, in milliseconds."""
        return 1000 * self.server_cpu_s / max(self.requests, 1)

    def percentile_ms(self, share: float) -> float:
        """Latency that this share of the requests stayed under."""
        return quantile_ms(self.latencies_s, share)

    def row(self) -> dict[str, float]:
        """The figures by name."""
        return {
            "per_second": self.per_second,
            "p50_ms": self.percentile_ms(0.5),
            "p99_ms": self.percentile_ms(0.99),
            "cpu_ms": self.cpu_ms,
            "failed": self.failed,
        }


def quantile_ms(seconds: Sequence[float] | NDArray[Any], share: float) -> float:
    """What this share of so many seconds stays under, in milliseconds; nan of none."""
    return 1000 * float(np.quantile(seconds, share)) if len(seconds) else float("nan")


def closed_loop(asks: Sequence[Ask], pid: int, seconds: float, *, warmup_s: float = 2.0) -> Figures:
    """Let every connection ask for so long; a warm-up before it is not counted."""
    if warmup_s > 0:
        _spell(asks, warmup_s)
    return closed_spell(asks, seconds, lambda: cpu_s(pid))


def closed_spell(asks: Sequence[Ask], seconds: float, clock: Callable[[], float] = lambda: 0.0) -> Figures:
    """The same without a warm-up; the server's CPU is what `clock` has gone on, in seconds."""
    before, started = clock(), time.perf_counter()
    latencies, failed = _spell(asks, seconds)
    return Figures(len(latencies), failed, time.perf_counter() - started, latencies, clock() - before)


def _spell(asks: Sequence[Ask], seconds: float) -> tuple[list[float], int]:
    until = time.perf_counter() + seconds
    latencies: list[list[float]] = [[] for _ in asks]
    failures = [0] * len(asks)

    def keep_asking(place: int) -> None:
        now = time.perf_counter()
        while True:  # once at least, however late this thread was let run
            try:
                asks[place]()
                latencies[place].append(time.perf_counter() - now)
            except (OSError, RuntimeError):
                failures[place] += 1
            if (now := time.perf_counter()) >= until:
                return

    together(keep_asking, range(len(asks)))
    return list(itertools.chain.from_iterable(latencies)), sum(failures)


def together(work: Callable[[T], None], things: Iterable[T]) -> None:
    """Do the work on each in a thread of its own; returns when all is done."""
    threads = [threading.Thread(target=work, args=(thing,)) for thing in things]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass(slots=True)
class Answered:
    """One request of a paced load."""

    place: int
    """Which connection."""
    started_s: float
    """time.monotonic()."""
    took_s: float
    failure: str = ""


class Paced:
    """Connections that each ask at a steady rate until told to stop, each answer kept."""

    def __init__(self, asks: Sequence[Ask], per_second: float) -> None:
        self.answers: list[Answered] = []
        self._pause_s = len(asks) / per_second
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_asking, args=(place, ask)) for place, ask in enumerate(asks)
        ]
        for thread in self._threads:
            thread.start()

    def _keep_asking(self, place: int, ask: Ask) -> None:
        due = time.monotonic() + self._pause_s * place / len(self._threads)
        while not self._over.wait(max(0.0, due - time.monotonic())):
            started, failure = time.monotonic(), ""
            try:
                ask()
            except (OSError, RuntimeError) as error:
                failure = str(error)
            self.answers.append(Answered(place, started, time.monotonic() - started, failure))
            due = max(due + self._pause_s, started)

    def stop(self) -> list[Answered]:
        """End; all answers, in the order of their ends."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self.answers
