"""What a gateway is doing now: two looks at its /metrics, and what lies between them."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_GOOD = {"OK", "200"}

Series = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one version, over the time between two looks."""

    per_second: float
    """Requests that came to an end."""
    failed_per_second: float
    mean_ms: float
    """Mean time from the head of a request to its answer; nan where none came."""


@dataclass(slots=True)
class Look:
    """The counters of one moment, by model and version."""

    at_s: float = field(default_factory=time.monotonic)
    requests: dict[tuple[str, str], float] = field(default_factory=dict)
    failed: dict[tuple[str, str], float] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    counted: dict[tuple[str, str], float] = field(default_factory=dict)


def read(page: str) -> Look:
    """The counters on a page of metrics; lines that are of something else are passed over."""
    look = Look()
    for line in page.splitlines():
        if (found := _LINE.match(line)) is None:
            continue
        labels = dict(_LABEL.findall(found["labels"]))
        key, value = (labels.get("model", ""), labels.get("version", "")), float(found["value"])
        if found["name"] == "gateway_requests_total":
            _add(look.requests, key, value)
            if labels.get("code") not in _GOOD:
                _add(look.failed, key, value)
        elif labels.get("stage") == "total" and found["name"] == "gateway_stage_seconds_sum":
            _add(look.seconds, key, value)
        elif labels.get("stage") == "total" and found["name"] == "gateway_stage_seconds_count":
            _add(look.counted, key, value)
    return look


def between(first: Look, second: Look) -> dict[tuple[str, str], Rates]:
    """By model and version, both as texts; a gateway that was started anew in between counts from nothing."""
    took = max(1e-9, second.at_s - first.at_s)
    return {key: _rates(first, second, key, took) for key in _keys(second.requests, second.counted)}


def _keys(*series: Series) -> Iterable[tuple[str, str]]:
    return {key for each in series for key in each if key[0]}


def _rates(first: Look, second: Look, key: tuple[str, str], took: float) -> Rates:
    requests = _grown(first.requests, second.requests, key)
    failed = _grown(first.failed, second.failed, key)
    seconds, counted = _grown(first.seconds, second.seconds, key), _grown(first.counted, second.counted, key)
    return Rates(requests / took, failed / took, 1000 * seconds / counted if counted else float("nan"))


def _grown(first: Series, second: Series, key: tuple[str, str]) -> float:
    now, before = second.get(key, 0.0), first.get(key, 0.0)
    return now - before if now >= before else now


def _add(series: dict[tuple[str, str], float], key: tuple[str, str], value: float) -> None:
    series[key] = series.get(key, 0.0) + value
