"""Each image is built by the unchanged Dockerfile, measured, run hardened, asked and stopped."""

import io
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from serving import repository
from tests.images.engine import Container, Engine
from tests.processes import CHECKOUT, free_port

pytestmark = [pytest.mark.images, pytest.mark.timeout(900)]

GATEWAY_MB, MODELSERVER_MB = 180, 340
"""Most that an image may add to its base."""


def photo(color: tuple[int, int, int]) -> bytes:
    """A JPEG of one color."""
    written = io.BytesIO()
    Image.new("RGB", (640, 480), color).save(written, "JPEG")
    return written.getvalue()


def classified(port: int, model: str, body: bytes, kind: str) -> str:
    """The label that a gateway answers."""
    url = f"http://127.0.0.1:{port}/v1/models/{model}/classify"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=20) as answer:
        label: str = json.load(answer)["predictions"][0]["label"]
    return label


def settings(engine: Engine, image: str) -> dict[str, Any]:
    found = engine.describe("image", image)["Config"]
    assert isinstance(found, dict)
    return found


def test_the_gateway_image_adds_little_to_its_base(engine: Engine, base: str, gateway_image: str) -> None:
    added = engine.size(gateway_image) - engine.size(base)

    print(f"gateway: base {engine.size(base) / 1e6:.0f} MB + {added / 1e6:.0f} MB")
    assert added <= GATEWAY_MB * 1e6


def test_the_modelserver_image_adds_little_to_its_base(engine: Engine, base: str, modelserver_image: str) -> None:
    added = engine.size(modelserver_image) - engine.size(base)

    print(f"modelserver: base {engine.size(base) / 1e6:.0f} MB + {added / 1e6:.0f} MB")
    assert added <= MODELSERVER_MB * 1e6


@pytest.mark.parametrize("target", ["gateway", "modelserver"])
def test_an_image_says_what_it_is_and_how_it_runs(engine: Engine, target: str, request: pytest.FixtureRequest) -> None:
    config = settings(engine, request.getfixturevalue(f"{target}_image"))

    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {"title", "description", "version", "revision"} <= {
        name.rpartition(".")[2] for name in config["Labels"] if name.startswith("org.opencontainers.image.")
    }


def test_the_gateway_image_holds_neither_tools_nor_frameworks(engine: Engine, gateway_image: str) -> None:
    with engine.container(gateway_image, "http.server", "--bind=127.0.0.1", "0") as container:
        assert strangers(container) == []
        assert container.execute("ls", "/opt/slipway").split() == ["serving"]


def test_the_modelserver_image_computes_on_the_cpu_alone(engine: Engine, modelserver_image: str) -> None:
    with engine.container(modelserver_image, "http.server", "--bind=127.0.0.1", "0") as container:
        assert strangers(container, "openvino") == []
        ask = "import openvino; print(*openvino.Core().available_devices)"
        assert container.execute("python", "-c", ask) == "CPU"


def strangers(container: Container, *wanted: str) -> list[str]:
    """Build tools, caches and frameworks that an image has and should not."""
    tools = ["gcc", "g++", "cc", "make", "cargo", "go", "git"]
    found = [tool for tool in tools if container.execute("sh", "-c", f"command -v {tool} || true")]
    packages = {"tensorflow", "keras", "openvino", "locust", "pytest", "pip", "setuptools"} - set(wanted)
    ask = f"import importlib.util as u; print(*[n for n in {sorted(packages)} if u.find_spec(n)])"
    found += container.execute("/opt/venv/bin/python", "-c", ask).split()
    return found + container.execute("sh", "-c", "ls -d /root/.cache/pip /build 2> /dev/null || true").split()


def test_the_hardened_model_server_classifies_a_photo_and_a_review(
    engine: Engine, modelserver_image: str, models: Path
) -> None:
    ports = [free_port() for _ in range(3)]
    words = ["serving", "--models=/models", f"--http-port={ports[0]}", f"--grpc-port={ports[1]}"]
    with engine.container(modelserver_image, *words, f"--rest-port={ports[2]}", mounts=[f"{models}:/models:ro"]) as c:
        wait(c, ports[0])

        assert classified(ports[0], "tiny_image", photo((200, 30, 30)), "image/jpeg") == "red"
        assert classified(ports[0], "tiny_text", b"a great and lovely film", "text/plain") == "pos"
        assert c.execute("id", "-u") == "65532"
        assert "Read-only" in c.execute("sh", "-c", "touch /opt/slipway/x 2>&1 || true")
        assert "0000000000000000" in c.execute("grep", "CapEff", "/proc/1/status")
        assert "python -m serving" in c.execute("sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline")
        assert c.stop() == 0


def test_the_gateway_image_asks_the_model_server_image_over_grpc(
    engine: Engine, gateway_image: str, modelserver_image: str, models: Path
) -> None:
    http, grpc, rest = (free_port() for _ in range(3))
    flags = ["serving.modelserver", "--model_name=tiny_image", "--model_base_path=/models/tiny_image"]
    flags += [f"--port={grpc}", f"--rest_api_port={rest}", "--bind_address=127.0.0.1"]
    env = {"GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": str(http), "GATEWAY_MODELS": "tiny_image"}
    env["GATEWAY_UPSTREAM"] = f"dns:///127.0.0.1:{grpc}"
    env["GATEWAY_TRACE_ENDPOINT"] = f"http://127.0.0.1:{free_port()}/v1/traces"  # nobody there: must not matter
    mounts = [f"{models}:/models:ro"]
    with (
        engine.container(modelserver_image, *flags, mounts=mounts) as server,
        engine.container(gateway_image, env=env) as gateway,
    ):
        wait(server, rest, "/v2/health/ready")
        wait(gateway, http)

        assert classified(http, "tiny_image", photo((20, 30, 210)), "image/jpeg") == "blue"
        assert gateway.stop() == 0
        assert server.stop() == 0


def wait(container: Container, port: int, path: str = "/readyz") -> None:
    """Until the image's own probe program finds it healthy."""
    url = f"http://127.0.0.1:{port}{path}"
    for _ in range(300):
        if not container.execute("sh", "-c", f"python -m serving.healthcheck {url} 2>&1 || true"):
            return
    raise AssertionError(container.logs())


def test_the_healthcheck_turns_healthy_and_notices_a_missing_model(
    engine: Engine, modelserver_image: str, models: Path
) -> None:
    """Runs on the very ports that the image and its HEALTHCHECK name."""
    with engine.container(modelserver_image, mounts=[f"{models}:/models:ro"]) as container:
        print(f"modelserver image: healthy {container.wait_until_healthy():.1f} s after its start")

        assert container.stop() == 0
    with engine.container(modelserver_image) as empty:  # no model in it
        wait(empty, 8080, "/livez")
        assert not empty.health()


def test_the_dockerfile_names_no_index_and_pins_its_base() -> None:
    text = (CHECKOUT / "Dockerfile").read_text()

    assert "# syntax=" not in text
    assert "index-url" not in text
    assert "PYTHON_DIGEST" in text
    assert ":latest" not in text


def test_the_load_image_reads_its_locustfile(engine: Engine, base: str) -> None:
    image = engine.build("load")
    words = ["locust", "-f", "tests/load/locustfile.py", "--list"]
    with engine.container(image, *words) as container:
        container.wait_until_over()

        assert {"PhotoUser", "ReviewUser"} <= set(container.logs().split())
        assert container.state()["ExitCode"] == 0


def test_the_training_image_trains_and_publishes(engine: Engine, base: str, tmp_path: Path) -> None:
    """Hardened as the Job of k8s/ is, with a folder that its user may write to."""
    image = engine.build("training")
    for place in (tmp_path, *tmp_path.parents[:2]):
        place.chmod(place.stat().st_mode | 0o055)
    folder = tmp_path / "models"
    folder.mkdir()
    os.chown(folder, 65532, 65532)
    words = [
        "training",
        "train",
        "shapes_cnn",
        "--quiet",
        "--models=/models",
        "--cache-dir=/tmp/data",
        "--runs=/tmp/runs",
    ]
    with engine.container(image, *words, mounts=[f"{folder}:/models"], memory="3g") as container:
        container.wait_until_over(400)

        assert container.state()["ExitCode"] == 0, container.logs()
    assert repository.versions(folder / "shapes_cnn") == [1]
    print(f"training: base + {(engine.size(image) - engine.size(base)) / 1e6:.0f} MB")
