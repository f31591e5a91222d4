"""The simulated fleet obeys the laws of queues, and the same seed gives the same day."""

import math

import pytest

from clients import plan
from tests.bench.fleet import FleetSpec, TierSpec, simulated
from tests.bench.forecast import compared, error_lines


def test_an_idle_fleet_takes_the_service_and_the_fixed_time() -> None:
    outcome = simulated(FleetSpec((TierSpec(3, 2, 0.010, 100),), 2, 1000, fixed_s=0.005))

    mean_s = sum(took for _, took in outcome.latencies_s) / len(outcome.latencies_s)
    assert mean_s == pytest.approx(0.015, rel=0.05)
    assert (outcome.shed, outcome.lost) == (0, 0)


def test_the_mean_wait_of_one_core_is_that_of_pollaczek_and_khinchine() -> None:
    load, service_s, variation = 0.7, 0.010, 0.35
    outcome = simulated(FleetSpec((TierSpec(1, 1, service_s, 10_000),), load / service_s, 500, zones=1))

    mean_s = sum(took for _, took in outcome.latencies_s) / len(outcome.latencies_s)
    expected_s = service_s + service_s * load * (1 + variation**2) / (2 * (1 - load))
    assert mean_s == pytest.approx(expected_s, rel=0.1)


def test_every_photo_is_answered_shed_or_lost_and_the_same_seed_tells_the_same() -> None:
    spec = FleetSpec((TierSpec(3, 2, 0.004, 8), TierSpec(6, 2, 0.010, 8)), 1100, 6, lost_at_s=3)
    first, again = simulated(spec), simulated(spec)

    assert first.sent == len(first.latencies_s) + first.shed + first.lost
    assert first == again
    assert first.lost > 0


def test_twice_the_load_a_fleet_bears_sheds_about_half() -> None:
    outcome = simulated(FleetSpec((TierSpec(2, 2, 0.010, 8),), 800, 10, zones=1))

    assert outcome.shed / outcome.sent == pytest.approx(0.5, abs=0.03)
    assert outcome.percentile_ms(1.0) < 1000 * 8 * 0.010


def test_a_planned_fleet_keeps_its_bound_before_and_after_a_zone_is_lost() -> None:
    facts = {"machine": "", "when": "", "model": "", "gateway_cpu_ms": 3, "modelserver_cpu_ms": 8}
    planned = plan.plan(500, 150, facts)
    tiers = tuple(TierSpec(tier.replicas, 2, tier.cpu_ms / 1000, 32) for tier in planned.tiers)
    outcome = simulated(FleetSpec(tiers, 500, 40, lost_at_s=20))

    assert outcome.percentile_ms(0.99, before_s=20) < 150
    assert outcome.percentile_ms(0.99, after_s=22) < 150
    assert outcome.lost / outcome.sent < 0.05


def test_a_run_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer seconds"):
        simulated(FleetSpec((TierSpec(1, 1, 0.1, 1),), 1e6, 1e6))


def test_a_machine_that_behaves_as_simulated_is_forecast_without_error() -> None:
    rows = []
    for share in (0.2, 0.6, 1.1):
        outcome = simulated(FleetSpec((TierSpec(1, 2, 0.010, 32),), share * 200, 60, 0.002, zones=1, seed=9))
        latencies = {"p50_ms": outcome.percentile_ms(0.5), "p99_ms": outcome.percentile_ms(0.99)}
        rows.append({"share": share, "offered_per_second": share * 200, **latencies})
    latency = {"saturation_per_second": 200.0, "rows": rows, "when": "2026-01-31", "machine": "simulated"}
    found = compared(latency, cores=2)

    assert [each.share for each in found] == [0.2, 0.6]
    assert all(math.isclose(each.error(which), 0, abs_tol=0.1) for each in found for which in (0, 1))
    assert "Error of the simulation" in "\n".join(error_lines(found, latency))
