"""What the pods are told: variables that the gateway has, flags that the servers have, times that fit each other."""

import copy
import importlib.util
import re
from pathlib import Path
from typing import Any

import click
import pytest

from serving import store
from serving.gateway import routing
from serving.gateway.config import GatewayConfig, kinds
from serving.modelserver import flags
from serving.modelserver.flag_effects import config_of
from tests.k8s import rendered
from tests.k8s.rendered import K8S, Object, containers, of_kind, templates

MOUNT = Path("/etc/slipway")
SOURCES = {path.name: path for folder in ("base/config", "components/gpu/config") for path in (K8S / folder).iterdir()}


def settings(text: str) -> dict[str, str]:
    """NAME=VALUE lines."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def variables(objects: tuple[Object, ...]) -> dict[str, str]:
    """The gateway's, as its ConfigMap has them."""
    data: dict[str, str] = rendered.named(objects, "ConfigMap", "gateway")["data"]
    return data


def main_container(objects: tuple[Object, ...], name: str) -> Object:
    """The first container of a Deployment's pod."""
    found: Object = rendered.named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    return found


def words(container: Object) -> list[str]:
    """Its arguments, with the files that are mounted at their places in this checkout."""
    return [re.sub(rf"{MOUNT}/([\w.]+)", lambda found: str(SOURCES[found[1]]), word) for word in container["args"]]


def model_servers(objects: tuple[Object, ...]) -> list[Object]:
    """The first container of every model server, canaries too."""
    names = [entry["metadata"]["name"] for entry in of_kind(objects, "Deployment")]
    return [main_container(objects, name) for name in names if name.startswith("modelserver")]


def test_the_gateway_knows_every_variable_and_starts_with_them(objects: tuple[Object, ...]) -> None:
    given = variables(objects)
    known = {f"GATEWAY_{name.upper()}" for name in kinds()}

    assert given.keys() <= known
    if "GATEWAY_ROUTING" in given:
        assert routing.read(K8S / "components/canary/routing.toml")
        given = given | {"GATEWAY_ROUTING": str(K8S / "components/canary/routing.toml")}
    config = GatewayConfig.from_env(given)
    port = rendered.named(objects, "Service", "modelserver")["spec"]["ports"][0]["port"]
    assert config.upstream == f"dns:///modelserver:{port}"
    assert config.port == main_container(objects, "gateway")["ports"][0]["containerPort"]


def test_the_gateway_waits_for_the_models_that_are_served() -> None:
    given = settings((K8S / "base/config/gateway.env").read_text())
    listed = re.findall(r'^ +name: "(.+)"$', (K8S / "base/config/models.config").read_text(), re.MULTILINE)

    assert given["GATEWAY_MODELS"].split(",") == listed
    for container in model_servers(rendered.base_files()):
        assert container["startupProbe"]["httpGet"]["path"] == f"/v1/models/{listed[0]}"


def test_the_model_server_knows_every_flag(objects: tuple[Object, ...]) -> None:
    """Those of TensorFlow Serving are flags of this project's server by the same names."""
    for container in model_servers(objects):
        given = words(container)
        if own := given[0] == "serving.modelserver":
            given = given[1:]
        line = flags.parse(given)

        assert line.unknown == ()
        assert not (own and line.warnings)
        config = config_of(line.flags)
        assert config.grpc_port == 8500
        assert config.rest_port == 8501
        if not own:
            assert container["livenessProbe"]["httpGet"]["path"] == config.monitoring_path


def test_programs_of_this_project_exist_and_take_their_options(pods: tuple[Object, ...]) -> None:
    for name, pod in templates(pods):
        for container in containers(pod):
            if not container["image"].rpartition("/")[2].startswith("slipway-") or "args" not in container:
                continue
            module, *options = container["args"]
            assert importlib.util.find_spec(module) is not None, f"{name}: {module}"
            if module == "serving.store":
                store.main.make_context(module, [*options, "--from", "s3://bucket/models"])


def test_the_training_job_takes_its_options() -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
    from training.__main__ import cli as main

    job = rendered.named(rendered.base_files(), "CronJob", "training")["spec"]["jobTemplate"]["spec"]
    module, command, *options = job["template"]["spec"]["containers"][0]["args"]
    assert module == "training"
    found = main.get_command(click.Context(main), command)
    assert found is not None
    context = found.make_context(command, options)

    assert (
        ",".join(context.params["names"]) == settings((K8S / "base/config/gateway.env").read_text())["GATEWAY_MODELS"]
    )


def test_pods_are_given_longer_than_they_take_to_end(objects: tuple[Object, ...]) -> None:
    given = GatewayConfig.from_env({k: v for k, v in variables(objects).items() if k != "GATEWAY_ROUTING"})
    for name, pod in templates(objects):
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        if name == "gateway":
            assert grace > given.drain_delay_s + given.grace_s
        if name.startswith("modelserver"):
            container = pod["spec"]["containers"][0]
            waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
            line = flags.parse([word for word in words(container) if word.startswith("--")]).flags
            ages = [int(age) for age in re.findall(r"age(?:_grace)?_ms=(\d+)", line.grpc_channel_arguments)]
            assert waits * 1000 > sum(ages), "callers must have left before the server ends"
            assert grace > waits + line.drain_seconds


@pytest.mark.parametrize("stack", ["overlays/gpu-cluster", "base+gpu", "base+canary+gpu+store+autoscaling-keda"])
def test_a_gpu_rollout_cannot_deadlock_when_all_gpus_are_taken(stack: str) -> None:
    if reason := rendered.kubectl_is_missing():
        pytest.skip(reason)
    objects = rendered.rendered(stack)
    for entry in of_kind(objects, "Deployment"):
        if not entry["metadata"]["name"].startswith("modelserver"):
            continue
        spec = entry["spec"]["template"]["spec"]
        container = spec["containers"][0]
        assert entry["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
        assert container["image"].endswith("-gpu")
        assert spec["nodeSelector"]
        assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
        assert {"name": "TF_FORCE_GPU_ALLOW_GROWTH", "value": "true"} in container["env"]
        assert "--enable_batching=true" in container["args"]


def test_a_canary_is_the_same_pod_on_another_track(pods: tuple[Object, ...]) -> None:
    names = [entry["metadata"]["name"] for entry in of_kind(pods, "Deployment")]
    if "modelserver-canary" not in names:
        return
    stable, canary = (copy.deepcopy(_template(pods, name)) for name in ("modelserver", "modelserver-canary"))
    assert stable["metadata"]["labels"].pop("slipway/track") == "stable"
    assert canary["metadata"]["labels"].pop("slipway/track") == "canary"

    assert canary == stable


def _template(objects: tuple[Object, ...], name: str) -> Any:
    return rendered.named(objects, "Deployment", name)["spec"]["template"]
