"""What an API server would say: strict schemas of a named version, Pod Security "restricted", custom resources."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.k8s import rendered
from tests.k8s.rendered import Object
from tests.k8s.restricted import violations

VERSION = "1.34"
"""Of Kubernetes."""
SCHEMAS = Path(__file__).with_name("schemas")
CUSTOM = {path.stem for path in SCHEMAS.glob("*.json")}
GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "one",
            "image": "one:1",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def test_every_object_fits_the_schema_of_its_kind_strictly(pods: tuple[Object, ...]) -> None:
    for entry in pods:
        if entry["kind"] in CUSTOM:
            schema = json.loads((SCHEMAS / f"{entry['kind']}.json").read_text())
            jsonschema.Draft202012Validator(schema).validate(entry)
        else:
            kubernetes_validate.validate(entry, VERSION, strict=True)


def test_the_schemas_refuse_what_is_wrong() -> None:
    deployment = copy.deepcopy(rendered.named(rendered.base_files(), "Deployment", "gateway"))
    deployment["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}

    with pytest.raises(kubernetes_validate.ValidationError, match="readinessProb"):
        kubernetes_validate.validate(deployment, VERSION, strict=True)


def test_every_pod_is_admitted_as_restricted(pods: tuple[Object, ...]) -> None:
    assert {name: found for name, pod in rendered.templates(pods) if (found := violations(pod["spec"]))} == {}


def test_the_namespace_enforces_restricted(pods: tuple[Object, ...]) -> None:
    labels = rendered.named(pods, "Namespace", "slipway")["metadata"]["labels"]

    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.update(hostNetwork=True), id="host network"),
        pytest.param(lambda s: s.update(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), id="host path"),
        pytest.param(lambda s: s["securityContext"].update(runAsNonRoot=False), id="root"),
        pytest.param(lambda s: s["securityContext"].update(runAsUser=0), id="user 0"),
        pytest.param(lambda s: s["securityContext"].pop("seccompProfile"), id="no seccomp"),
        pytest.param(lambda s: s["containers"][0]["securityContext"].update(privileged=True), id="privileged"),
        pytest.param(lambda s: s["containers"][0]["securityContext"].pop("capabilities"), id="capabilities"),
        pytest.param(lambda s: s["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"), id="escalation"),
        pytest.param(lambda s: s["containers"][0].update(ports=[{"hostPort": 80}]), id="host port"),
        pytest.param(lambda s: s.update(initContainers=[{"name": "two"}]), id="an open init container"),
    ],
)
def test_a_pod_that_asks_for_more_is_refused(change: Any) -> None:
    spec = copy.deepcopy(GOOD)
    assert violations(spec) == []
    change(spec)

    assert violations(spec)
