"""Fleets forecast by simulation, after the simulation was held against the measured machine.

`python -m tests.bench.forecast` (part of `make numbers`) reads build/bench/latency.json and
clients/facts.json, writes docs/capacity.svg and the figures between the marks of docs/capacity.md.
"""

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from clients import plan
from tests.bench import pictures
from tests.bench.fleet import FleetSpec, Outcome, TierSpec, simulated
from tests.processes import CHECKOUT

BEGIN, END = "<!-- forecast -->", "<!-- /forecast -->"
SECONDS = 60.0
PHOTOS = 20_000
QUEUE = 32
"""Photos inside one replica before it sheds."""
BELOW = 0.9
"""Shares of saturation up to which the error is stated; beyond, latency is that of a full queue."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One measured rate and what the simulation says of it."""

    share: float
    offered: float
    measured: tuple[float, float]
    """p50 and p99 in milliseconds."""
    forecast: tuple[float, float]

    def error(self, which: int) -> float:
        """Forecast over measured, less one."""
        return self.forecast[which] / self.measured[which] - 1


@click.command()
@click.option("--out", default="build/bench", type=click.Path(exists=True, path_type=Path))
@click.option("--docs", default=CHECKOUT / "docs", type=click.Path(exists=True, path_type=Path))
def main(out: Path, docs: Path) -> None:
    """Compare, forecast, write."""
    latency, facts = json.loads((out / "latency.json").read_text()), plan.facts()
    found = compared(latency, len(os.sched_getaffinity(0)))
    lines = {
        f"{name}, {how}": [(each.offered, getattr(each, how)[which]) for each in found]
        for which, name in enumerate(("p50", "p99"))
        for how in ("measured", "forecast")
    }
    title = f"One machine, measured and simulated; {latency['machine']}"
    figure = pictures.curves(lines, title, "offered photos/s", "ms", latency["saturation_per_second"])
    pictures.save(figure, out, "capacity")
    (docs / "capacity.svg").write_bytes((out / "capacity.svg").read_bytes())
    text = (docs / "capacity.md").read_text()
    block = "\n".join((*error_lines(found, latency), "", *fleet_lines(facts)))
    before, _, rest = text.partition(BEGIN)
    (docs / "capacity.md").write_text(f"{before}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}")
    click.echo(f"{docs / 'capacity.md'} and .svg", err=True)


def compared(latency: Mapping[str, Any], cores: int) -> list[Compared]:
    """Every measured rate below saturation beside its forecast.

    Two figures of the measurement go in: saturation, which says how much CPU a photo takes of the cores that the
    generator leaves, and the median at the lowest rate, which says what is no queue. All others are forecast.
    """
    service_s = cores / latency["saturation_per_second"]
    rows = [row for row in latency["rows"] if math.isfinite(row["p99_ms"])]
    tier = TierSpec(1, cores, service_s, QUEUE)
    fixed_ms = rows[0]["p50_ms"] - _alone(tier, rows[0]["offered_per_second"], 0.0).percentile_ms(0.5)
    found = []
    for row in rows:
        if row["share"] > BELOW:
            continue
        offered = row["offered_per_second"]
        outcome = _alone(tier, offered, max(0.0, fixed_ms / 1000))
        forecast = (outcome.percentile_ms(0.5), outcome.percentile_ms(0.99))
        found.append(Compared(row["share"], offered, (row["p50_ms"], row["p99_ms"]), forecast))
    return found


def _alone(tier: TierSpec, offered: float, fixed_s: float) -> Outcome:
    """One machine by itself, for as many photos as a p99 needs."""
    return simulated(FleetSpec((tier,), offered, PHOTOS / offered, fixed_s, zones=1))


def error_lines(found: Sequence[Compared], latency: Mapping[str, Any]) -> list[str]:
    """The comparison as a table, and its error in a sentence."""
    limit = latency["saturation_per_second"]
    lines = [
        f"Measured {latency['when'][:10]} on {latency['machine']}; saturation {limit:.0f}/s.",
        "",
        "| share of saturation | offered/s | p50 ms measured, simulated | p99 ms measured, simulated |",
        "| --- | --- | --- | --- |",
    ]
    for each in found:
        pairs = (f"{each.measured[which]:.1f}, {each.forecast[which]:.1f}" for which in (0, 1))
        lines.append(f"| {each.share:.0%} | {each.offered:.0f} | {' | '.join(pairs)} |")
    errors = [statistics.median(abs(each.error(which)) for each in found) for which in (0, 1)]
    worst = [max((each.error(which) for each in found), key=abs) for which in (0, 1)]
    lines += ["", f"Error of the simulation: p50 {errors[0]:.0%} in the median and {worst[0]:+.0%} at worst,"]
    return [*lines, f"p99 {errors[1]:.0%} in the median and {worst[1]:+.0%} at worst."]


def fleet_lines(facts: Mapping[str, Any]) -> list[str]:
    """What `clients plan` proposes for some loads, and what the simulation makes of it."""
    lines = [
        "| photos/s | gateways, model servers (2 cores each) | planned p99 ms | simulated p99 ms | "
        "p99 ms after a zone is lost | lost | shed |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for load in (100.0, 300.0, 1000.0, 3000.0):
        planned = plan.plan(load, 250, facts)
        seconds = min(SECONDS, 100_000 / load)
        spec = FleetSpec(fleet(planned), load, seconds, lost_at_s=seconds / 2)
        outcome = simulated(spec)
        calm = outcome.percentile_ms(0.99, before_s=seconds / 2)
        after = outcome.percentile_ms(0.99, after_s=seconds / 2 + spec.noticed_after_s)
        counts = ", ".join(str(tier.replicas) for tier in planned.tiers)
        shares = f"{outcome.lost / outcome.sent:.2%} | {outcome.shed / outcome.sent:.2%}"
        lines.append(f"| {load:.0f} | {counts} | {planned.p99_ms:.0f} | {calm:.0f} | {after:.0f} | {shares} |")
    return lines


def fleet(planned: plan.Plan) -> tuple[TierSpec, ...]:
    """The tiers of a plan, as the simulation takes them."""
    return tuple(TierSpec(tier.replicas, plan.CORES_EACH, tier.cpu_ms / 1000, QUEUE) for tier in planned.tiers)


if __name__ == "__main__":
    main(prog_name="python -m tests.bench.forecast")
