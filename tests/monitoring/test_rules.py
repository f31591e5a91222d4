"""The alerts, evaluated by promtool: each fires when it must and is silent when it must be."""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.cases import CASES, Case
from tests.processes import CHECKOUT

PLACE = CHECKOUT / "k8s/components/monitoring"
RULES = PLACE / "rules.yml"
RUNBOOK = CHECKOUT / "docs/runbook.md"

Document = dict[str, Any]


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    return found


def document() -> Document:
    found: Document = yaml.safe_load(RULES.read_text())
    return found


def alerts(rules: Document) -> list[Document]:
    return [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]


ALERTS = [rule["alert"] for rule in alerts(document())]


def holds(promtool: str, rules: Document, cases: Sequence[Case], folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask promtool whether the rules answer every case as it wants."""
    (folder / "rules.yml").write_text(yaml.safe_dump(needed(rules, {case.alert for case in cases})))
    files = []
    for number, case in enumerate(cases):
        file = folder / f"case_{number}.yml"
        file.write_text(yaml.safe_dump(question(case)))
        files.append(str(file))
    return subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, timeout=120, check=False)


def needed(rules: Document, chosen: set[str]) -> Document:
    """The chosen alerts and what is recorded for them; promtool would spend most of its time on the others."""
    kept = [rule for rule in alerts(rules) if rule["alert"] in chosen]
    recorded = {rule["record"]: rule for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    asked = list(kept)
    for rule in asked:  # grows while it is walked
        asked += [found for name, found in recorded.items() if name in rule["expr"] and found not in asked]
    groups = [group | {"rules": [rule for rule in group["rules"] if rule in asked]} for group in rules["groups"]]
    return {"groups": [group for group in groups if group["rules"]]}


def question(case: Case) -> Document:
    """A case in promtool's words; the count of firing alerts is 0 by `or vector(0)` where there is none."""
    firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)'
    expected = [{"labels": "{}", "value": int(case.fires)}]
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": case.every,
        "group_eval_order": [group["name"] for group in document()["groups"]],
        "tests": [
            {
                "name": case.title,
                "interval": case.step,
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "promql_expr_test": [{"expr": firing, "eval_time": case.at, "exp_samples": expected}],
            }
        ],
    }


def test_promtool_accepts_the_rules(promtool: str) -> None:
    checked = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.title}")
def test_an_alert_fires_when_it_must_and_only_then(promtool: str, case: Case, tmp_path: Path) -> None:
    answer = holds(promtool, document(), [case], tmp_path)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    assert {case.fires for case in CASES if case.alert == alert} == {True, False}


def test_no_case_is_of_an_alert_that_is_gone() -> None:
    assert {case.alert for case in CASES} == set(ALERTS)


def removed(rules: Document, alert: str) -> None:
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") != alert]


def twice_as_lax(rules: Document, alert: str) -> None:
    """Every limit of the rule is doubled; `== 1` and `> 0` become what is never true."""
    (rule,) = (rule for rule in alerts(rules) if rule["alert"] == alert)
    doubled = re.sub(r"> (\d+\.?\d*)", lambda found: f"> {2 * float(found[1]) or 1e9}", rule["expr"])
    rule["expr"] = re.sub(r"== [01]", "== 7", doubled)


def far_later(rules: Document, alert: str) -> None:
    (rule,) = (rule for rule in alerts(rules) if rule["alert"] == alert)
    rule["for"] = "100h"


@pytest.mark.parametrize("change", [removed, twice_as_lax, far_later])
@pytest.mark.parametrize("alert", ALERTS)
def test_no_alert_can_be_loosened_unnoticed(
    promtool: str, alert: str, change: Callable[[Document, str], None], tmp_path: Path
) -> None:
    rules = copy.deepcopy(document())
    change(rules, alert)
    firing = [case for case in CASES if case.alert == alert and case.fires]

    assert rules != document()
    assert holds(promtool, rules, firing, tmp_path).returncode != 0


@pytest.mark.parametrize("rule", alerts(document()), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_what_happened_and_where_to_read_on(rule: Document) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    file, _, section = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert CHECKOUT / file == RUNBOOK
    assert section in {heading.lower() for heading in headings}


def test_the_operators_form_carries_the_same_rules() -> None:
    manifest = yaml.safe_load((PLACE / "prometheus-rule.yaml").read_text())

    assert manifest["kind"] == "PrometheusRule"
    assert manifest["spec"] == document(), "run: make monitoring-rule"
