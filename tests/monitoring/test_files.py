"""The files that Prometheus, Alertmanager and Grafana read, judged by the programs that read them."""

import shutil
import subprocess

import pytest
import yaml

from tests.monitoring.stack import PLACE


def run(program: str, package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}: apt-get install {package}")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_prometheus_accepts_its_configuration() -> None:
    checked = run("promtool", "prometheus", "check", "config", "--syntax-only", str(PLACE / "prometheus.yml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alertmanager_accepts_its_configuration() -> None:
    checked = run("amtool", "prometheus-alertmanager", "check-config", str(PLACE / "alertmanager.yml"))

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("alert", "receiver"), [("FailureBudgetFast", "pager"), ("ModelNotAvailable", "pager"), ("LabelDrift", "tickets")]
)
def test_pages_and_tickets_go_to_whom_they_are_for(alert: str, receiver: str) -> None:
    rules = yaml.safe_load((PLACE / "rules.yml").read_text())
    (rule,) = (rule for group in rules["groups"] for rule in group["rules"] if rule.get("alert") == alert)
    labels = [f"alertname={alert}", f"severity={rule['labels']['severity']}"]
    config = f"--config.file={PLACE / 'alertmanager.yml'}"

    assert (
        run("amtool", "prometheus-alertmanager", "config", "routes", "test", config, *labels).stdout.strip() == receiver
    )


def test_jobs_carry_the_names_that_the_rules_know() -> None:
    scraped = yaml.safe_load((PLACE / "prometheus.yml").read_text())["scrape_configs"]
    monitors = list(yaml.safe_load_all((PLACE / "service-monitor.yaml").read_text()))
    given = {
        relabeling["replacement"]
        for monitor in monitors
        for endpoint in monitor["spec"]["endpoints"]
        for relabeling in endpoint["relabelings"]
    }

    assert given == {"gateway", "modelserver", "tensorflow-serving"}
    assert given < {job["job_name"] for job in scraped}
