"""A quick check of speed: so many callers, each asking again as soon as it is answered.

It knows no protocol; `__main__.py` says what is asked. Such a loop asks less while a server is
slow, so it shows how much a server bears, not what independent people would wait; the load tests
in `tests/load` and `tests/bench` measure that.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from serving.errors import ServingError

BARS = 12
WIDEST = 40
"""Characters of the longest bar."""
_SHADES = " ▏▎▍▌▋▊▉█"


@dataclass(slots=True)
class Tally:
    """What came back."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    """How often each refusal came, by its text."""

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of the good answers stayed under."""
        ranked = sorted(self.latencies_s)
        return 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else float("nan")


def run(ask: Callable[[int], None], callers: int, seconds: float, tick: Callable[[Tally], None]) -> Tally:
    """Let the callers ask for so long; `ask` is given a number that grows, `tick` is called now and then."""
    tally, lock, stop = Tally(), threading.Lock(), threading.Event()
    begun = time.perf_counter()

    def work(place: int) -> None:
        number = place
        while not stop.is_set():
            asked = time.perf_counter()
            try:
                ask(number)
            except ServingError as error:
                with lock:
                    tally.failures[f"{type(error).__name__}: {error.message}"[:200]] += 1
                stop.wait(0.01)  # a refusal can be so quick that nothing else would be done
            else:
                tally.latencies_s.append(time.perf_counter() - asked)
            number += callers

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(callers)]
    for thread in threads:
        thread.start()
    try:
        while (elapsed := time.perf_counter() - begun) < seconds:
            tally.seconds = elapsed
            tick(tally)
            time.sleep(min(0.1, seconds - elapsed))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        tally.seconds = time.perf_counter() - begun
    return tally


def histogram(latencies_s: Sequence[float]) -> list[str]:
    """Lines such as `12.1 - 14.0 ms ████ 31`; the slowest hundredth shares the last one."""
    if not latencies_s:
        return []
    ranked = sorted(1000 * latency for latency in latencies_s)
    low, high = ranked[0], max(ranked[int(0.99 * (len(ranked) - 1))], ranked[0] * 1.001)
    step = (high - low) / BARS
    counts = [0] * (BARS + 1)
    for latency in ranked:
        counts[min(BARS, int((latency - low) / step))] += 1
    most = max(counts)
    edges = [low + place * step for place in range(BARS + 1)] + [ranked[-1]]
    return [
        f"{edges[at]:9.1f} - {max(edges[at], edges[at + 1]):9.1f} ms {_bar(count / most)} {count}"
        for at, count in enumerate(counts)
        if count or at < BARS
    ]


def _bar(share: float) -> str:
    eighths = round(8 * WIDEST * share)
    return "█" * (eighths // 8) + (_SHADES[eighths % 8] if eighths % 8 else "")
