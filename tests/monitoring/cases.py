"""What must make each alert fire, and what must not: series in promtool's notation, a time, an answer.

`test_rules.py` gives every case to promtool, which evaluates the rules as Prometheus does. A firing case
lies less than a factor of two above its limit, so that a rule made twice as lax is caught.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CATS = '{model="cats",version="1"}'
PROCESS = '{job="gateway",instance="a"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question to promtool."""

    title: str
    alert: str
    series: Mapping[str, str]
    """Name with labels to values: `0+2x60` is 0, 2, 4 ... one a minute."""
    at: str
    """When to look, since the first sample."""
    fires: bool
    step: str = "1m"
    """Time between two values."""
    every: str = "1m"
    """How often rules are evaluated; longer for long windows, to be done sooner."""


def burning() -> Iterator[Case]:
    """Both objectives, each window, from both sides of its limit."""
    above = {"Fast": 20.0, "Steady": 7.0, "Slow": 4.0, "Creeping": 1.5}
    below = {"Fast": 13.0, "Steady": 5.0, "Slow": 2.5, "Creeping": 0.8}
    looked = {"Fast": ("70m", "1m"), "Steady": ("380m", "5m"), "Slow": ("25h", "10m"), "Creeping": ("73h", "30m")}
    for window, (at, step) in looked.items():
        for share, fires in ((above[window], True), (below[window], False)):
            failing = f"{share:g} in a thousand fail for {at}"
            slow = f"{share:g} photos in a hundred are slow for {at}"
            looking: Any = {"at": at, "step": step, "fires": fires, "every": "10m"}
            yield Case(title=failing, alert=f"FailureBudget{window}", series=failures(share), **looking)
            yield Case(title=slow, alert=f"SlowPhotoBudget{window}", series=slowness(share), **looking)


def failures(in_a_thousand: float, steps: int = 160) -> dict[str, str]:
    """10,000 requests a step, some of them answered 503."""
    bad = round(in_a_thousand * 10)
    return {
        'gateway_requests_total{route="classify",status="200"}': f"0+{10_000 - bad}x{steps}",
        'gateway_requests_total{route="rest",status="503"}': f"0+{bad}x{steps}",
    }


def slowness(in_a_hundred: float, steps: int = 160, *, photos: bool = True) -> dict[str, str]:
    """10,000 answers a step, some of them after more than 250 ms."""
    quick = 10_000 - round(in_a_hundred * 100)
    series = {
        'gateway_stage_seconds_count{model="cats",version="1",stage="total"}': f"0+10000x{steps}",
        'gateway_stage_seconds_bucket{model="cats",version="1",stage="total",le="0.25"}': f"0+{quick}x{steps}",
    }
    return series | ({f"gateway_picture_brightness_count{CATS}": f"0+10000x{steps}"} if photos else {})


OBJECTIVES = (
    *burning(),
    Case(
        title="what callers do wrong spends nothing",
        alert="FailureBudgetFast",
        series={
            'gateway_requests_total{route="classify",status="200"}': "0+50x80",
            'gateway_requests_total{route="classify",status="400"}': "0+50x80",
            'gateway_requests_total{route="classify",status="429"}': "0+50x80",
        },
        at="70m",
        fires=False,
    ),
    Case(
        title="an outage that is over pages no more",
        alert="FailureBudgetFast",
        series={
            'gateway_requests_total{route="classify",status="200"}': "0+98x60 5880+100x20",
            'gateway_requests_total{route="classify",status="503"}': "0+2x60 120+0x20",
        },
        at="75m",
        fires=False,
    ),
    Case(
        title="slow texts are no photos",
        alert="SlowPhotoBudgetFast",
        series=slowness(50, 80, photos=False),
        at="70m",
        fires=False,
    ),
)


def cause(alert: str, title: str, at: str, *, fires: bool, **series: str) -> Case:
    """A case whose series is given as metric=values, with the labels that its alert reads."""
    return Case(
        title=title, alert=alert, series={LABELED[name]: text for name, text in series.items()}, at=at, fires=fires
    )


LABELED = {
    "up": f"up{PROCESS}",
    "other_up": 'up{job="node",instance="b"}',
    "here": 'gateway_model_available{model="cats",instance="a"}',
    "there": 'gateway_model_available{model="cats",instance="b"}',
    "loads": 'modelserver_loads_total{model="cats",code="OK",instance="a"}',
    "failed_loads": 'modelserver_loads_total{model="cats",code="DATA_LOSS",instance="a"}',
    "foreign_loads": ':tensorflow:cc:saved_model:load_attempt_count{model_path="/m/1",status="fail"}',
    "broken": f"gateway_routing_file_broken{PROCESS}",
    "shed": f"gateway_shed_total{PROCESS}",
    "asked": 'gateway_requests_total{route="classify",status="200"}',
    "open": f"gateway_upstream_circuit_open{PROCESS}",
    "memory": f"process_resident_memory_bytes{PROCESS}",
    "started": f"process_start_time_seconds{PROCESS}",
    "cat": 'gateway_predictions_total{model="cats",version="1",label="cat"}',
    "dog": 'gateway_predictions_total{model="cats",version="1",label="dog"}',
    "cat_share": 'gateway_reference_label_share{model="cats",version="1",label="cat"}',
    "dog_share": 'gateway_reference_label_share{model="cats",version="1",label="dog"}',
    "sure": f"gateway_confidence_sum{CATS}",
    "answers": f"gateway_confidence_count{CATS}",
    "sureness": f"gateway_reference_confidence{CATS}",
    "strange": f"gateway_anomalies_total{CATS}",
    "items": f"gateway_items_total{CATS}",
}
"""Short names of the series that the cases below move."""

CAUSES = (
    cause("TargetDown", "no scrape for three minutes", "5m", fires=True, up="1 1 0x10"),
    cause("TargetDown", "one scrape lost", "5m", fires=False, up="1 1 0 1x10"),
    cause("TargetDown", "another's target is none of ours", "9m", fires=False, other_up="0x10"),
    cause("ModelNotAvailable", "nowhere for four minutes", "6m", fires=True, here="1 1 0x10", there="1 1 0x10"),
    cause("ModelNotAvailable", "another gateway still sees it", "9m", fires=False, here="0x10", there="1x10"),
    cause("ModelNotAvailable", "gone for two minutes of a restart", "6m", fires=False, here="1 1 0 0 1x10"),
    cause("LoadsFailing", "one more failure", "5m", fires=True, loads="1x20", failed_loads="0 0 1x20"),
    cause("LoadsFailing", "the first failure of a new process", "5m", fires=True, failed_loads="_ _ 1x20"),
    cause("LoadsFailing", "the first failure in TensorFlow Serving", "6m", fires=True, foreign_loads="0 0 1x20"),
    cause("LoadsFailing", "loads that go well", "9m", fires=False, loads="0+1x20"),
    cause("LoadsFailing", "a failure of long ago", "40m", fires=False, loads="1x60", failed_loads="0 0 1x60"),
    cause("RoutingFileBroken", "broken for three minutes", "5m", fires=True, broken="0 0 1x10"),
    cause("RoutingFileBroken", "caught half-written once", "5m", fires=False, broken="0 0 1 0x10"),
    cause("Shedding", "15 in a thousand refused", "12m", fires=True, shed="0+15x20", asked="0+1000x20"),
    cause("Shedding", "6 in a thousand refused", "12m", fires=False, shed="0+6x20", asked="0+1000x20"),
    cause("Shedding", "a burst of two minutes", "10m", fires=False, shed="0 0 50 100 100x20", asked="0+1000x20"),
    cause("CircuitOpen", "open for two minutes", "4m", fires=True, open="0 0 1x10"),
    cause("CircuitOpen", "open for one scrape", "4m", fires=False, open="0 0 1 0x10"),
    cause("MemoryGrowth", "half as much again", "10h", fires=True, memory="100x540 150x200", started="0x740"),
    cause("MemoryGrowth", "a fifth more", "10h", fires=False, memory="100x540 120x200", started="0x740"),
    cause("MemoryGrowth", "warming up", "7h", fires=False, memory="50x30 150x500", started="1800x530"),
)

SIGNALS = (
    cause(
        "LabelDrift", "80 % cats instead of half", "95m", fires=True,
        cat="0+80x120", dog="0+20x120", cat_share="0.5x120", dog_share="0.5x120", sure="0+90x120", answers="0+100x120",
    ),
    cause(
        "LabelDrift", "35 % of the answers moved to a label never given before", "95m", fires=True,
        cat="0+100x120", cat_share="0.65x120", dog_share="0.35x120", sure="0+90x120", answers="0+100x120",
    ),
    cause(
        "LabelDrift", "60 % cats instead of half", "95m", fires=False,
        cat="0+60x120", dog="0+40x120", cat_share="0.5x120", dog_share="0.5x120", sure="0+90x120", answers="0+100x120",
    ),
    cause(
        "LabelDrift", "too few answers to say", "95m", fires=False,
        cat="0+2x120", dog="0x120", cat_share="0.5x120", dog_share="0.5x120", sure="0+2x120", answers="0+2x120",
    ),
    cause(
        "LabelDrift", "no answers at all", "95m", fires=False,
        cat="70x120", dog="70x120", cat_share="0.5x120", dog_share="0.5x120", sure="90x120", answers="140x120",
    ),
    cause(
        "ConfidenceDrift", "less sure by 15 points", "95m", fires=True,
        sure="0+80x120", answers="0+100x120", sureness="0.95x120",
    ),
    cause(
        "ConfidenceDrift", "surer by 15 points", "95m", fires=True,
        sure="0+85x120", answers="0+100x120", sureness="0.7x120",
    ),
    cause(
        "ConfidenceDrift", "less sure by 5 points", "95m", fires=False,
        sure="0+90x120", answers="0+100x120", sureness="0.95x120",
    ),
    cause("AnomalyShare", "15 in a hundred", "95m", fires=True, strange="0+15x120", items="0+100x120"),
    cause("AnomalyShare", "6 in a hundred", "95m", fires=False, strange="0+6x120", items="0+100x120"),
    cause("AnomalyShare", "all of a handful", "95m", fires=False, strange="0+2x120", items="0+2x120"),
)  # fmt: skip

CASES = (*OBJECTIVES, *CAUSES, *SIGNALS)
