"""Every answer of a spell of load, exactly: Locust's own statistics round latencies to two digits."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

GENERATOR_LIMIT = 0.85
"""Share of one core above which the generator's own waiting is part of what it measures."""


@dataclass(frozen=True, slots=True)
class KindFigures:
    """What one kind of request came to."""

    requests: int
    failed: int
    per_second: float
    """Answered well, a second."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    slowest_ms: float
    codes: Mapping[str, int]
    """How often each status came: HTTP numbers, names of gRPC codes."""

    @property
    def error_ratio(self) -> float:
        """Share of the requests that failed."""
        return self.failed / max(1, self.requests)


@dataclass(frozen=True, slots=True)
class SpellFigures:
    """What a spell of load came to."""

    seconds: float
    kinds: Mapping[str, KindFigures]
    generator_cpu: float
    """Share of one core that the load generator used."""

    @property
    def per_second(self) -> float:
        """Requests answered well a second, operators' looks left out."""
        return sum(figures.per_second for kind, figures in self.kinds.items() if kind != "status")

    @property
    def error_ratio(self) -> float:
        """Share of all requests that failed."""
        failed = sum(figures.failed for figures in self.kinds.values())
        return failed / max(1, sum(figures.requests for figures in self.kinds.values()))

    def as_json(self) -> dict[str, Any]:
        """All figures, with the two totals."""
        return asdict(self) | {"per_second": self.per_second, "error_ratio": self.error_ratio}


@dataclass(slots=True)
class Record:
    """Latencies and codes by kind since `begin`."""

    _latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    _failed: Counter[str] = field(default_factory=Counter)
    _codes: dict[str, Counter[str]] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)
    _cpu_s: float = field(default_factory=time.process_time)

    def begin(self) -> None:
        """Forget everything; a spell begins."""
        self._latencies_ms.clear()
        self._failed.clear()
        self._codes.clear()
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()

    def add(self, kind: str, latency_ms: float, code: str, failed: bool) -> None:
        """One answer."""
        if failed:
            self._failed[kind] += 1
        self._latencies_ms.setdefault(kind, []).append(latency_ms)
        self._codes.setdefault(kind, Counter())[code] += 1

    def answered(self) -> int:
        """Answers so far, good and bad."""
        return sum(map(len, self._latencies_ms.values()))

    def figures(self) -> SpellFigures:
        """What it came to so far."""
        seconds = max(1e-9, time.monotonic() - self._began_s)
        kinds = {kind: self._of(kind, seconds) for kind in sorted(self._latencies_ms)}
        return SpellFigures(seconds, kinds, (time.process_time() - self._cpu_s) / seconds)

    def _of(self, kind: str, seconds: float) -> KindFigures:
        latencies, failed = self._latencies_ms[kind], self._failed[kind]
        p50, p90, p99, slowest = (float(value) for value in np.quantile(latencies, (0.5, 0.9, 0.99, 1.0)))
        good = (len(latencies) - failed) / seconds
        return KindFigures(len(latencies), failed, good, p50, p90, p99, slowest, dict(self._codes[kind]))
