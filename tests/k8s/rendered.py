"""What kubectl makes of k8s/: every overlay, and every component on the base, as plain objects.

Without kubectl 1.27 or newer the files of base/ are all there is to look at, which needs nothing but Python.
"""

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.processes import CHECKOUT

K8S = CHECKOUT / "k8s"
Object = dict[str, Any]
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))
COMPONENTS = sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml"))
TOGETHER = (("canary", "gpu", "store", "autoscaling-keda"), ("canary", "embedded", "store", "load-test"))
"""Components that change the same objects, one after another."""


@functools.cache
def kubectl_is_missing() -> str:
    """Why nothing can be rendered; empty if it can."""
    if shutil.which("kubectl") is None:
        return "needs kubectl 1.27 or newer; the files of k8s/base are checked without it"
    answer = subprocess.run(
        ["kubectl", "version", "--client", "--output=json"], capture_output=True, timeout=60, check=True
    )
    version = json.loads(answer.stdout)["clientVersion"]
    if (int(version["major"]), int(version["minor"].rstrip("+"))) < (1, 27):
        return f"needs kubectl 1.27 or newer, not {version['gitVersion']}"
    return ""


def stacks() -> list[str]:
    """Names of all that is rendered: overlays, the base, components on it, and some of them together."""
    return [
        *(f"overlays/{name}" for name in OVERLAYS),
        "base",
        *(f"base+{name}" for name in COMPONENTS),
        *("base+" + "+".join(names) for names in TOGETHER),
    ]


@functools.cache
def rendered(stack: str) -> tuple[Object, ...]:
    """The objects of one of the stacks, as `kubectl apply -k` would send them."""
    folder, *components = stack.split("+")
    if not components:
        return _kustomized(K8S / folder)
    with tempfile.TemporaryDirectory(prefix=".stack-", dir=K8S) as aside:
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "slipway",
            "resources": [f"../{folder}"],
            "components": [f"../components/{name}" for name in components],
        }
        Path(aside, "kustomization.yaml").write_text(yaml.safe_dump(document))
        return _kustomized(Path(aside))


def _kustomized(folder: Path) -> tuple[Object, ...]:
    answer = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "deprecated" not in answer.stderr, answer.stderr
    return tuple(yaml.safe_load_all(answer.stdout))


@functools.cache
def base_files() -> tuple[Object, ...]:
    """The objects of base/ as they are written, without what kustomize adds."""
    files = sorted(path for path in (K8S / "base").glob("*.yaml") if path.name != "kustomization.yaml")
    return tuple(document for path in files for document in yaml.safe_load_all(path.read_text()))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    """Only these kinds."""
    return [entry for entry in objects if entry["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one object of this kind and name, with or without the hash that kustomize puts behind it."""
    entries = of_kind(objects, kind)
    found = [entry for entry in entries if entry["metadata"]["name"] == name]
    found = found or [entry for entry in entries if entry["metadata"]["name"].rpartition("-")[0] == name]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} are called {name}"
    return found[0]


def templates(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """Every pod that is made: the name of who makes it, and the template with metadata and spec."""
    for entry in of_kind(objects, "Deployment", "Job"):
        yield entry["metadata"]["name"], entry["spec"]["template"]
    for entry in of_kind(objects, "CronJob"):
        yield entry["metadata"]["name"], entry["spec"]["jobTemplate"]["spec"]["template"]


def containers(template: Object) -> list[Object]:
    """All containers of a pod, those that run before it first."""
    spec = template["spec"]
    found: list[Object] = [*spec.get("initContainers", []), *spec["containers"]]
    return found


def matches(selector: Object, labels: Object) -> bool:
    """Whether a selector of labels takes these; only matchLabels are used here."""
    assert set(selector) <= {"matchLabels"}, selector
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
