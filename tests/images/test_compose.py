"""compose.yaml: every profile is whole, and the CPU profile is brought up, asked and taken down for real."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.modelserver import flags
from tests.images.engine import Engine
from tests.images.test_images import classified, photo
from tests.processes import CHECKOUT, free_port

COMPOSE = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
PROFILES = {
    "cpu": {"gateway", "modelserver"},
    "gpu": {"gateway", "tensorflow-serving"},
    "monitoring": {"prometheus", "alertmanager", "grafana"},
    "load": {"load"},
    "training": {"training"},
}


def services(profile: str) -> dict[str, Any]:
    return {name: entry for name, entry in COMPOSE["services"].items() if profile in entry["profiles"]}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_its_services(profile: str) -> None:
    assert services(profile).keys() == PROFILES[profile]


def test_no_service_is_in_no_profile_and_every_image_has_a_version() -> None:
    for name, entry in COMPOSE["services"].items():
        assert set(entry["profiles"]) <= PROFILES.keys(), name
        tag = entry["image"].rpartition("/")[2].partition(":")[2]
        assert any(part.isdigit() for part in tag.lstrip("v").split(".")), entry["image"]


def test_every_file_that_is_mounted_exists() -> None:
    for name, entry in COMPOSE["services"].items():
        for volume in entry.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (CHECKOUT / source).is_file(), f"{name}: {volume}"


def test_what_this_project_builds_is_hardened() -> None:
    for name, entry in COMPOSE["services"].items():
        if "build" in entry or name == "tensorflow-serving":
            assert entry["read_only"] is True
            assert entry["cap_drop"] == ["ALL"]
            assert not entry["user"].startswith("0")
        assert all(port.startswith("127.0.0.1:") for port in entry.get("ports", [])), name


def test_tensorflow_serving_is_given_a_gpu_and_its_files() -> None:
    entry = COMPOSE["services"]["tensorflow-serving"]
    device = entry["deploy"]["resources"]["reservations"]["devices"][0]
    line = flags.parse(entry["command"])

    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert line.unknown == ()
    mounted = {volume.split(":")[1] for volume in entry["volumes"]}
    assert {line.flags.model_config_file, line.flags.monitoring_config_file} <= mounted
    assert {line.flags.batching_parameters_file, line.flags.tensorflow_session_config_file} <= mounted


@pytest.fixture(scope="module")
def gateway_port(engine: Engine, gateway_image: str, modelserver_image: str, models: Path) -> Iterator[int]:
    """The CPU profile, up."""
    port = free_port()
    env = {"MODELS": str(models), "SLIPWAY_MODELS": "tiny_image,tiny_text", "GATEWAY_PORT": str(port)}
    program = [str(Path(sys.executable).with_name("podman-compose")), "--in-pod=false", "--podman-args=--runtime=runc"]
    program.append("--podman-run-args=--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096")
    if engine.program == "docker":
        program = ["docker", "compose"]
    up = [*program, "--project-name=slipway-test", "--profile=cpu", "up", "--detach", "--no-build"]
    down = [*program, "--project-name=slipway-test", "--profile=cpu", "down"]
    try:
        answer = _run(up, env)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        _wait(f"http://127.0.0.1:{port}/readyz")
        yield port
    finally:
        _run(down, env)


def _run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **env}
    return subprocess.run(command, cwd=CHECKOUT, env=given, capture_output=True, text=True, timeout=200, check=False)


def _wait(url: str) -> None:
    said = ""
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as error:
            said = error.read().decode()
        except OSError as error:
            said = str(error)
        time.sleep(0.2)
    raise AssertionError(f"{url}: {said}")


@pytest.mark.images
@pytest.mark.timeout(600)
def test_the_cpu_profile_classifies_a_photo_and_a_review(gateway_port: int) -> None:
    assert classified(gateway_port, "tiny_image", photo((20, 210, 30)), "image/jpeg") == "green"
    assert classified(gateway_port, "tiny_text", b"an awful and dull film", "text/plain") == "neg"
