"""Closed-loop load: a fixed number of connections, each sending its next request when the last is answered."""

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.processes import cpu_s

Ask = Callable[[], None]
"""Send one request and read its answer; raises if it failed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one spell of load showed."""

    requests: int
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
        return 1000 * float(np.quantile(self.latencies_s, share)) if self.latencies_s else float("nan")


def closed_loop(asks: Sequence[Ask], pid: int, seconds: float, *, warmup_s: float = 2.0) -> Figures:
    """Let every connection ask for so long; a warm-up before it is not counted."""
    _spell(asks, warmup_s)
    before, started = cpu_s(pid), time.perf_counter()
    latencies, failed = _spell(asks, seconds)
    return Figures(len(latencies), failed, time.perf_counter() - started, latencies, cpu_s(pid) - before)


def _spell(asks: Sequence[Ask], seconds: float) -> tuple[list[float], int]:
    until = time.perf_counter() + seconds
    latencies: list[list[float]] = [[] for _ in asks]
    failures = [0] * len(asks)

    def keep_asking(place: int) -> None:
        while (now := time.perf_counter()) < until:
            try:
                asks[place]()
                latencies[place].append(time.perf_counter() - now)
            except (OSError, RuntimeError, http.client.HTTPException):
                failures[place] += 1

    threads = [threading.Thread(target=keep_asking, args=(place,)) for place in range(len(asks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(itertools.chain.from_iterable(latencies)), sum(failures)


def http_ask(address: str, path: str, kind: str, bodies: Sequence[bytes]) -> Ask:
    """A connection of its own that posts the bodies in turn."""
    connection = http.client.HTTPConnection(address, timeout=30)
    turn = itertools.cycle(bodies)

    def ask() -> None:
        connection.request("POST", path, next(turn), {"Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text[:200]!r}")

    return ask
