"""The rendered objects among each other: who selects whom, what is mounted, which ports there are."""

import re
from typing import Any

import pytest

from tests.k8s import rendered
from tests.k8s.rendered import K8S, Object, containers, matches, of_kind, templates

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
NOT_IN_A_NAMESPACE = {"Namespace"}


def pods_taken(objects: tuple[Object, ...], selector: Object) -> list[Object]:
    return [pod for _, pod in templates(objects) if matches(selector, pod["metadata"]["labels"])]


def port_names(pod: Object) -> dict[Any, int]:
    """Container ports of a pod by name and by number."""
    ports = [port for container in containers(pod) for port in container.get("ports", [])]
    return {key: port["containerPort"] for port in ports for key in (port["name"], port["containerPort"])}


def test_everything_is_in_one_namespace(objects: tuple[Object, ...]) -> None:
    places = {entry["metadata"].get("namespace") for entry in objects if entry["kind"] not in NOT_IN_A_NAMESPACE}

    assert places == {"slipway"}


def test_selectors_take_the_pods_that_they_mean(objects: tuple[Object, ...]) -> None:
    for entry in of_kind(objects, "Deployment"):
        selector, pod = entry["spec"]["selector"], entry["spec"]["template"]
        assert pods_taken(objects, selector) == [pod], entry["metadata"]["name"]
    for entry in of_kind(objects, "Service"):
        assert pods_taken(objects, {"matchLabels": entry["spec"]["selector"]}), entry["metadata"]["name"]
    for entry in of_kind(objects, "PodDisruptionBudget"):
        assert pods_taken(objects, entry["spec"]["selector"]), entry["metadata"]["name"]
    for entry in of_kind(objects, "NetworkPolicy"):
        assert pods_taken(objects, entry["spec"]["podSelector"]), entry["metadata"]["name"]
    for _, pod in templates(objects):
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            assert matches(spread["labelSelector"], pod["metadata"]["labels"])


def test_monitors_find_services_and_their_ports(objects: tuple[Object, ...]) -> None:
    for entry in of_kind(objects, "ServiceMonitor"):
        found = [s for s in of_kind(objects, "Service") if matches(entry["spec"]["selector"], s["metadata"]["labels"])]
        optional = "slipway/server" in entry["spec"]["selector"]["matchLabels"]  # only where that server runs
        assert found or optional, f"ServiceMonitor {entry['metadata']['name']} finds no Service"
        for service in found:
            names = {port["name"] for port in service["spec"]["ports"]}
            assert {endpoint["port"] for endpoint in entry["spec"]["endpoints"]} <= names


def test_autoscalers_name_a_deployment_without_fixed_replicas(objects: tuple[Object, ...]) -> None:
    for entry in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = entry["spec"]["scaleTargetRef"]
        assert "replicas" not in rendered.named(objects, target["kind"], target["name"])["spec"]


def test_probes_and_services_use_ports_that_a_container_has(pods: tuple[Object, ...]) -> None:
    for name, pod in templates(pods):
        for container in containers(pod):
            own = port_names({"spec": {"containers": [container]}})
            for probe in (container[kind] for kind in PROBES if kind in container):
                asked = probe.get("httpGet") or probe.get("tcpSocket") or probe["grpc"]
                assert asked["port"] in own, f"{name}: {probe}"
    for service in of_kind(pods, "Service"):
        for pod in pods_taken(pods, {"matchLabels": service["spec"]["selector"]}):
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= port_names(pod).keys()
    for policy in of_kind(pods, "NetworkPolicy"):
        for pod in pods_taken(pods, policy["spec"]["podSelector"]) if policy["spec"]["podSelector"] else []:
            for rule in policy["spec"].get("ingress", []):
                assert {port["port"] for port in rule["ports"]} <= port_names(pod).keys(), policy["metadata"]["name"]


def test_whoever_answers_has_all_three_probes(pods: tuple[Object, ...]) -> None:
    for service in of_kind(pods, "Service"):
        for pod in pods_taken(pods, {"matchLabels": service["spec"]["selector"]}):
            container = pod["spec"]["containers"][0]
            assert set(PROBES) <= container.keys()
            ready, alive = (container[kind] for kind in ("readinessProbe", "livenessProbe"))
            assert ready != alive, "a pod that is busy must not be restarted for it"


def test_every_configmap_and_key_that_is_used_exists(objects: tuple[Object, ...]) -> None:
    keys = {entry["metadata"]["name"]: set(entry["data"]) for entry in of_kind(objects, "ConfigMap")}
    claims = {entry["metadata"]["name"] for entry in of_kind(objects, "PersistentVolumeClaim")}
    accounts = {entry["metadata"]["name"] for entry in of_kind(objects, "ServiceAccount")}
    for name, pod in templates(objects):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        assert pod["spec"]["serviceAccountName"] in accounts
        for volume in volumes.values():
            assert volume.get("configMap", {}).get("name") in {*keys, None}, name
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {*claims, None}, name
        for container in containers(pod):
            assert {source["configMapRef"]["name"] for source in container.get("envFrom", [])} <= keys.keys()
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
            for mount in container["volumeMounts"]:
                there = keys.get(volumes[mount["name"]].get("configMap", {}).get("name", ""), set())
                for word in container.get("args", []):
                    for file in re.findall(rf"{mount['mountPath']}/([\w.]+)", word) if there else []:
                        assert file in there, f"{name}: {word}"


def test_no_image_is_latest_and_all_have_a_version(pods: tuple[Object, ...]) -> None:
    for _, pod in templates(pods):
        for container in containers(pod):
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            assert re.match(r"\d+\.\d+", tag), container["image"]


def test_every_container_is_hardened_and_says_what_it_needs(pods: tuple[Object, ...]) -> None:
    for name, pod in templates(pods):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsUser"] > 0
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
    for entry in of_kind(pods, "ServiceAccount"):
        assert entry["automountServiceAccountToken"] is False


def test_a_node_can_always_be_drained(pods: tuple[Object, ...]) -> None:
    budgets = of_kind(pods, "PodDisruptionBudget")

    assert {budget["metadata"]["name"] for budget in budgets} == {"gateway", "modelserver"}
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in budget["spec"]


def test_every_model_server_is_reached_pod_by_pod(pods: tuple[Object, ...]) -> None:
    assert rendered.named(pods, "Service", "modelserver")["spec"]["clusterIP"] == "None"


def test_the_network_lets_through_what_is_needed(objects: tuple[Object, ...]) -> None:
    policies = of_kind(objects, "NetworkPolicy")
    nobody = rendered.named(objects, "NetworkPolicy", "nobody")["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    pods = {name: pod["metadata"]["labels"] for name, pod in templates(objects)}
    wanted = [("gateway", name, 8500) for name in pods if name.startswith("modelserver")]
    wanted += [("locust-worker", "gateway", 8080), ("locust-worker", "locust-master", 5557)]
    for source, target, port in wanted:
        if source in pods:
            assert _may(policies, "egress", pods[source], pods[target], {port}), (source, target)
            names = {port, *(key for key, number in port_names(_pod(objects, target)).items() if number == port)}
            assert _may(policies, "ingress", pods[target], pods[source], names), (source, target)
    assert not _may(policies, "egress", pods["gateway"], {"app": "of somebody else"}, {8500})


def _pod(objects: tuple[Object, ...], name: str) -> Object:
    return dict(templates(objects))[name]


def _may(policies: list[Object], way: str, own: Object, other: Object, ports: set[Any]) -> bool:
    """Whether some policy of a pod lets it talk to (egress) or hear (ingress) another one on a port."""
    for policy in policies:
        if not matches(policy["spec"]["podSelector"], own):
            continue
        for rule in policy["spec"].get(way, []):
            peers = rule.get("to" if way == "egress" else "from")
            known = peers is None or any("podSelector" in p and matches(p["podSelector"], other) for p in peers)
            if known and ports & {port["port"] for port in rule["ports"]}:
                return True
    return False


@pytest.mark.parametrize("name", rendered.OVERLAYS)
def test_an_overlay_is_short(name: str) -> None:
    assert len((K8S / "overlays" / name / "kustomization.yaml").read_text().splitlines()) <= 40
    assert {path.name for path in (K8S / "overlays" / name).iterdir()} == {"kustomization.yaml"}
