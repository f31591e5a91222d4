"""The dashboard: every panel asks for something that a running stack really counts."""

import json
import math
import shutil
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.monitoring.stack import PLACE, Stack, stack

Panel = dict[str, Any]
DASHBOARD: dict[str, Any] = json.loads((PLACE / "dashboard.json").read_text())
PANELS: list[Panel] = DASHBOARD["panels"]
GPU = next(panel["gridPos"]["y"] for panel in PANELS if panel["type"] == "row" and panel["title"].startswith("GPU"))
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
HERE = [panel for panel in DRAWN if panel["gridPos"]["y"] < GPU]
"""All but the row that needs a GPU."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if shutil.which("prometheus") is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    with stack(tmp_path_factory.mktemp("monitoring")) as started:
        yield started


def filled(expression: str) -> str:
    """With Grafana's variables replaced, as Grafana does before it asks."""
    return expression.replace("$__rate_interval", "10s").replace("$model", ".*")


@pytest.mark.parametrize("panel", HERE, ids=lambda panel: panel["title"])
def test_every_panel_has_something_to_show(running: Stack, panel: Panel) -> None:
    for target in panel["targets"]:
        found = running.query(filled(target["expr"]))

        assert any(math.isfinite(float(sample["value"][1])) for sample in found), target["expr"]


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: Panel) -> None:
    assert panel["title"]
    assert panel["description"]
    assert panel["type"] in {"heatmap", "table"} or panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_panels_lie_side_by_side() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def test_the_list_of_models_and_the_marks_of_swaps_can_be_asked_for(running: Stack) -> None:
    (model,) = (entry for entry in DASHBOARD["templating"]["list"] if entry["name"] == "model")
    metric = model["query"]["query"].removeprefix("label_values(").partition(",")[0]
    (marks,) = DASHBOARD["annotations"]["list"]

    assert {sample["metric"]["model"] for sample in running.query(metric)} == {"tiny_watchful", "tiny_text"}
    assert running.query(marks["expr"].replace(" > 0", ""))


def test_the_rules_record_and_none_of_the_pages_fires_on_a_healthy_stack(running: Stack) -> None:
    for name in ("gateway:failures:ratio_rate5m", "gateway:slow_photos:ratio_rate5m", "gateway:label_drift:distance1h"):
        assert running.query(name), name
    assert running.query("gateway:failures:ratio_rate5m")[0]["value"][1] == "0"
    assert not running.query('ALERTS{severity="page",alertstate="firing"}')


def test_every_metric_that_a_rule_reads_is_there(running: Stack) -> None:
    """A metric that was renamed makes a rule silent for ever; TensorFlow Serving's own count of failed loads too."""
    rules = (PLACE / "rules.yml").read_text()
    names = {"gateway_requests_total", "gateway_stage_seconds_bucket", "gateway_predictions_total"}
    names |= {"gateway_anomalies_total", "gateway_items_total", "gateway_reference_label_share", "up"}
    names |= {"gateway_confidence_sum", "gateway_reference_confidence", "gateway_model_available"}
    names |= {"gateway_shed_total", "gateway_upstream_circuit_open", "gateway_routing_file_broken"}
    names |= {"modelserver_loads_total", ":tensorflow:cc:saved_model:load_attempt_count"}
    names |= {"process_resident_memory_bytes", "process_start_time_seconds", "gateway_picture_brightness_count"}
    for name in sorted(names):
        assert name in rules, name
        assert running.query(name), name
