"""AdaptiveLimit: how many requests may be worked on at once, learned from how long they take.

Gentle increase, quick decrease on latency: while answers take less than `TOLERANCE`
times what they take on an idle server, and the limit is in use, it grows; once they take longer,
it shrinks. What "idle" takes is the least seen lately, per kind of request, and so that this
least stays honest under steady overload, the limit is cut to a quarter for a moment every window.
`admission.py` owns one; this room knows numbers only.

Source: the idea of Netflix' concurrency-limits (Vegas) with the probing of BBR.
"""

from collections.abc import Hashable
from dataclasses import dataclass

TOLERANCE = 1.6
"""Times the idle latency that working side by side may cost."""
BUDGET = 2.5
"""Times the idle latency that working and waiting may cost together."""
CALM_SHARE = 2 / 3
"""Of the latency that nobody minds, what is left for the work itself."""
SMOOTHING = 0.1
WINDOW_S = 10.0
FIRST_WINDOW_S = 1.0
PROBE_S = 0.25
"""Least length of a probe; it lasts two answers' time if that is longer."""
SAMPLES = 8
SPELL_S = 0.25
"""The limit moves once in so long, by the median of at least SAMPLES; one hiccup of the machine moves nothing."""
MOST_KINDS = 256


@dataclass(slots=True)
class _Least:
    """The least latency of one kind, in the last window and in this one."""

    before: float
    now: float


class AdaptiveLimit:
    """Fed one sample per answered request, from one thread."""

    def __init__(self, most: int, calm_latency_s: float, start: int = 8, *, least: int = 1) -> None:
        self.most = most
        self.least = min(least, most)
        self.latency_s = calm_latency_s / 4
        """Running mean of all kinds together."""
        self.idle_s = calm_latency_s / 4
        """The same of what they take on an idle server."""
        self._calm_s = calm_latency_s
        self._value = float(max(self.least, min(most, start)))
        self._idle: dict[Hashable, _Least] = {}
        self._slowness: list[float] = []
        self._in_use = False
        self._spell_ends = 0.0
        self._window_ends = 0.0
        self._probe_ends = 0.0

    def value(self, now: float) -> int:
        """The limit in force."""
        return max(self.least, int(self._value) // (4 if now < self._probe_ends else 1))

    def budget_s(self) -> float:
        """How long a request may take in all, waiting included, before it is better refused."""
        return max(self._calm_s, BUDGET * self.idle_s)

    def sample(self, kind: Hashable, latency_s: float, in_flight: int, now: float) -> None:
        """Take in one answer: what it was, how long it took, how many there were beside it."""
        self._turn_window(now)
        idle_s = self._idle_s(kind, latency_s)
        self.latency_s += SMOOTHING * (latency_s - self.latency_s)
        self.idle_s += SMOOTHING * (idle_s - self.idle_s)
        self._slowness.append(min(5.0, latency_s / max(CALM_SHARE * self._calm_s, TOLERANCE * idle_s)))
        self._in_use = self._in_use or in_flight >= self.value(now)
        if now >= self._spell_ends and len(self._slowness) >= SAMPLES:
            self._spell_ends = now + SPELL_S
            self._adjust()

    def _idle_s(self, kind: Hashable, latency_s: float) -> float:
        if len(self._idle) >= MOST_KINDS and kind not in self._idle:
            self._idle.clear()
        least = self._idle.setdefault(kind, _Least(latency_s, latency_s))
        least.now = min(least.now, latency_s)
        return min(least.before, least.now)

    def _adjust(self) -> None:
        slowness = sorted(self._slowness)[len(self._slowness) // 2]
        if slowness > 1:
            self._value = max(float(self.least), self._value * max(0.3, 1 / slowness))
        elif self._in_use:
            self._value = min(float(self.most), self._value + max(0.5, self._value / 10))
        self._slowness.clear()
        self._in_use = False

    def _turn_window(self, now: float) -> None:
        if now < self._window_ends:
            return
        for least in self._idle.values():
            least.before, least.now = least.now, float("inf")
        self._probe_ends = now + max(PROBE_S, 2 * self.latency_s) if self._in_use else 0.0
        self._window_ends = now + (WINDOW_S if self._window_ends else FIRST_WINDOW_S)
