"""How many cores N photos a second need, from measured figures and Erlang's formula.

`facts.json` beside this file holds what the benchmark measured (`make bench bench-latency numbers`
writes it). The formula takes each tier as one queue in front of so many cores: P(wait > t) =
C(c, a) exp(-(c - a) t / S), with C Erlang's probability that an arrival finds all c cores at work
and a the offered load in cores. Real tiers wait more, since their queues are several;
docs/capacity.md says how far a simulation of such a fleet lies off a measured machine.

Source: Cooper, Introduction to Queueing Theory, 2nd ed., section 3.3 (Erlang C).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import BadInput

FACTS = Path(__file__).with_name("facts.json")
BUSY = 0.7
"""No core is planned to be busier than this: a burst, a garbage collection, a slow neighbor."""
ZONES = 3
CORES_EACH = 2
"""Cores of one replica, as the manifests have it."""
SLOW = 2.0
"""A slow request takes so many times the CPU of a usual one; large photos decode for longer."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One kind of process and what it needs."""

    name: str
    cpu_ms: float
    """Of one photo."""
    cores: int
    """For the load as such."""
    replicas: int
    """Of CORES_EACH cores, so that the load is borne with one zone lost."""
    busy: float
    """Share of the cores at work when all zones are there."""
    wait_p99_ms: float
    """With one zone lost."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet for a load."""

    tiers: tuple[Tier, ...]
    p99_ms: float
    """Expected, with one zone lost."""
    assumptions: tuple[str, ...]


def facts(path: Path = FACTS) -> Mapping[str, Any]:
    """The measured figures.

    Raises:
        BadInput: the file is missing or is none.
    """
    try:
        found: Mapping[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); `make bench numbers` writes it") from error
    return found


def plan(photos_per_second: float, p99_ms: float, measured: Mapping[str, Any], *, embedded: bool = False) -> Plan:
    """The smallest fleet that bears the load within the bound with one of three zones lost.

    Raises:
        BadInput: the bound is below what a photo takes with nobody else there.
    """
    if embedded:
        costs = {"gateway with embedded server": measured["embedded_cpu_ms"]}
    else:
        costs = {"gateway": measured["gateway_cpu_ms"], "model server": measured["modelserver_cpu_ms"]}
    bare_ms = SLOW * sum(costs.values())
    if bare_ms >= p99_ms:
        raise BadInput(f"a slow photo takes {bare_ms:.1f} ms with nobody else there; no fleet keeps {p99_ms:g} ms")
    left_ms = p99_ms - bare_ms
    tiers = tuple(
        _tier(name, cost, photos_per_second, left_ms * cost / sum(costs.values())) for name, cost in costs.items()
    )
    return Plan(tiers, bare_ms + sum(tier.wait_p99_ms for tier in tiers), _assumptions(measured))


def erlang_c(cores: int, load: float) -> float:
    """Probability that an arrival finds all cores at work, by the stable recursion over Erlang B.

    Args:
        cores: at least 1.
        load: offered load in cores, below `cores`.
    """
    blocked = 1.0
    for number in range(1, cores + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - (load / cores) * (1 - blocked))


def wait_p99_ms(cores: int, load: float, cpu_ms: float) -> float:
    """Wait that 99 of 100 requests stay under."""
    waits = erlang_c(cores, load)
    return cpu_ms * math.log(waits / 0.01) / (cores - load) if waits > 0.01 else 0.0


def _tier(name: str, cpu_ms: float, per_second: float, wait_ms: float) -> Tier:
    load = per_second * cpu_ms / 1000
    cores = max(1, math.ceil(load / BUSY))
    while wait_p99_ms(cores, load, cpu_ms) > wait_ms:
        cores += 1
    in_two_zones = math.ceil(cores / CORES_EACH)
    each_zone = math.ceil(in_two_zones / (ZONES - 1))
    replicas = ZONES * each_zone
    left = (ZONES - 1) * each_zone * CORES_EACH
    return Tier(name, cpu_ms, cores, replicas, load / (replicas * CORES_EACH), wait_p99_ms(left, load, cpu_ms))


def _assumptions(measured: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"CPU of a photo as measured {measured['when'][:10]} on {measured['machine']}: {measured['model']}",
        f"no core busier than {BUSY:.0%} with one of {ZONES} zones lost; replicas of {CORES_EACH} cores, evenly spread",
        f"arrivals are independent (Poisson); a slow photo takes {SLOW:g} times the CPU of a usual one",
        "a tier's cores share one queue; the balancer, the network and the kernel's own work are left out",
    )
