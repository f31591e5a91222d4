"""A fleet of gateways and model servers, simulated: queues, shedding, a zone that goes away.

Every replica is so many cores in front of one bounded queue. A photo takes its turn at a gateway,
then at a model server; each balancer sends to the emptier of two replicas drawn by chance. Where
a queue is full the photo is shed; what is inside a replica that dies is lost, and so is what is
still sent there until the balancers notice. All randomness comes from one seed.

The same program simulates the one machine that was measured; forecast.py holds it against that.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

MOST_PHOTOS = 2_000_000
"""Of one run; more would take minutes and tell nothing new."""
VARIATION = 0.35
"""Standard deviation of the CPU of a photo over its mean: sizes of photos, neighbors on the machine."""


@dataclass(frozen=True, slots=True)
class TierSpec:
    """One kind of replica."""

    replicas: int
    cores: int
    service_s: float
    """Mean CPU of one photo."""
    limit: int
    """Photos inside one replica, running ones included; more are shed."""


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """A fleet and what happens to it."""

    tiers: tuple[TierSpec, ...]
    photos_per_second: float
    seconds: float
    fixed_s: float = 0.0
    """Added to every answer: network, kernel, what no core of the fleet does."""
    zones: int = 3
    lost_at_s: float = math.inf
    """When the last zone goes away."""
    noticed_after_s: float = 2.0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What became of the photos."""

    sent: int = 0
    shed: int = 0
    lost: int = 0
    latencies_s: list[tuple[float, float]] = field(default_factory=list)
    """When each answered photo came, and how long it took."""

    def percentile_ms(self, share: float, after_s: float = 0.0, before_s: float = math.inf) -> float:
        """Of the photos that came in that time; nan if none was answered."""
        ranked = sorted(took for came, took in self.latencies_s if after_s <= came < before_s)
        return 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else math.nan


@dataclass(slots=True)
class Replica:
    """Cores in front of a queue."""

    spec: TierSpec
    zone: int
    busy: int = 0
    waiting: deque[tuple[float, int]] = field(default_factory=deque)
    alive: bool = True

    @property
    def inside(self) -> int:
        """Photos that run or wait here."""
        return self.busy + len(self.waiting)


class Fleet:
    """One run."""

    def __init__(self, spec: FleetSpec) -> None:
        if spec.photos_per_second * spec.seconds > MOST_PHOTOS:
            raise ValueError(f"more than {MOST_PHOTOS:,} photos; simulate fewer seconds")
        self._spec = spec
        self._random = Random(spec.seed)
        self._outcome = Outcome()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._tiers = [[Replica(tier, at % spec.zones) for at in range(tier.replicas)] for tier in spec.tiers]
        self._known = [list(tier) for tier in self._tiers]
        self._log_sigma = math.sqrt(math.log(1 + VARIATION**2))

    def run(self) -> Outcome:
        """Let it all happen."""
        self._at(self._gap(), self._arrive)
        if math.isfinite(self._spec.lost_at_s):
            self._at(self._spec.lost_at_s, self._lose_zone)
            self._at(self._spec.lost_at_s + self._spec.noticed_after_s, self._notice)
        while self._events:
            when, _, happen = heapq.heappop(self._events)
            happen(when)
        return self._outcome

    def _at(self, when: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    def _gap(self) -> float:
        return self._random.expovariate(self._spec.photos_per_second)

    def _arrive(self, now: float) -> None:
        if (later := now + self._gap()) < self._spec.seconds:
            self._at(later, self._arrive)
        self._outcome.sent += 1
        self._send(now, now, 0)

    def _send(self, now: float, came: float, tier: int) -> None:
        """To the emptier of two replicas of a tier, as far as the balancer knows which there are."""
        known = self._known[tier]
        if not known:
            self._outcome.lost += 1
            return
        chosen = min(self._random.choices(known, k=2), key=lambda replica: replica.inside)
        if not chosen.alive:
            self._outcome.lost += 1
        elif chosen.inside >= chosen.spec.limit:
            self._outcome.shed += 1
        elif chosen.busy < chosen.spec.cores:
            self._start(now, chosen, came, tier)
        else:
            chosen.waiting.append((came, tier))

    def _start(self, now: float, replica: Replica, came: float, tier: int) -> None:
        replica.busy += 1
        mean, sigma = replica.spec.service_s, self._log_sigma
        service_s = self._random.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)
        self._at(now + service_s, lambda then: self._finish(then, replica, came, tier))

    def _finish(self, now: float, replica: Replica, came: float, tier: int) -> None:
        if not replica.alive:
            self._outcome.lost += 1
            return
        replica.busy -= 1
        if replica.waiting:
            self._start(now, replica, *replica.waiting.popleft())
        if tier + 1 < len(self._tiers):
            self._send(now, came, tier + 1)
        else:
            self._outcome.latencies_s.append((came, now - came + self._spec.fixed_s))

    def _lose_zone(self, _now: float) -> None:
        for replica in self._in_lost_zone():
            replica.alive = False
            self._outcome.lost += len(replica.waiting)
            replica.waiting.clear()

    def _notice(self, _now: float) -> None:
        self._known = [[replica for replica in tier if replica.alive] for tier in self._tiers]

    def _in_lost_zone(self) -> Sequence[Replica]:
        lost = self._spec.zones - 1
        return [replica for tier in self._tiers for replica in tier if replica.zone == lost]


def simulated(spec: FleetSpec) -> Outcome:
    """Run a fleet once; the same spec gives the same outcome."""
    return Fleet(spec).run()
