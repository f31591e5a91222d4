"""A scan of everything that is rendered by checkov, which `make k8s-test` installs apart."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s import rendered
from tests.processes import CHECKOUT

EXCEPTIONS = yaml.safe_load(Path(__file__).with_name("policy_exceptions.yaml").read_text())

pytestmark = pytest.mark.policy


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What checkov says of every stack; of base's own files where nothing can be rendered."""
    folder = tmp_path_factory.mktemp("scanned")
    stacks = {"base-files": rendered.base_files()}
    if not rendered.kubectl_is_missing():
        stacks = {name.replace("/", "-"): rendered.rendered(name) for name in rendered.stacks()}
    for name, objects in stacks.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))
    (folder / "open.yaml").write_text(OPEN)
    command = [str(CHECKOUT / ".venv/policy/bin/checkov"), "--framework", "kubernetes", "--directory", str(folder)]
    command += ["--compact", "--quiet", "--soft-fail", "--output", "json", "--skip-download"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


OPEN = """
apiVersion: v1
kind: Pod
metadata: {name: open, namespace: default}
spec:
  containers:
    - {name: open, image: "open:latest", securityContext: {privileged: true}}
"""


def failed(findings: dict[str, Any], *, in_open: bool) -> set[tuple[str, str]]:
    """Rule and object of each failure, in what is ours or in the pod that is open to everybody."""
    return {
        (entry["check_id"], f"{entry['file_path']} {entry['resource']}: {entry['check_name']}")
        for entry in findings["results"]["failed_checks"]
        if (entry["file_path"] == "/open.yaml") == in_open
    }


def is_excepted(rule: str, place: str) -> bool:
    return rule in EXCEPTIONS and re.search(EXCEPTIONS[rule].get("only", ""), place) is not None


def test_everything_passes_but_for_explained_exceptions(findings: dict[str, Any]) -> None:
    assert findings["summary"]["parsing_errors"] == 0
    assert [entry for entry in sorted(failed(findings, in_open=False)) if not is_excepted(*entry)] == []


def test_no_exception_is_left_over(findings: dict[str, Any]) -> None:
    broken = {rule for rule, _ in failed(findings, in_open=False)}

    assert [rule for rule in EXCEPTIONS if rule not in broken and not rendered.kubectl_is_missing()] == []
    assert all(len(exception["reason"].split()) > 8 for exception in EXCEPTIONS.values())


def test_the_scan_would_find_a_privileged_pod(findings: dict[str, Any]) -> None:
    assert {"CKV_K8S_16", "CKV_K8S_14"} <= {rule for rule, _ in failed(findings, in_open=True)}
