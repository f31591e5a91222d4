"""A model server, a gateway in front of it and a Prometheus that scrapes both, under a small load.

All three are real processes on ports of the system's choice. Prometheus looks every second, so that a test
need not wait a minute for a rate.
"""

import http.client
import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.preprocess.pictures import encoded, flat
from tests.processes import CHECKOUT, following, free_port
from tests.waiting import until

PLACE = CHECKOUT / "k8s/components/monitoring"
SAVED = CHECKOUT / "tests/saved_models"
PAGE = "/monitoring/prometheus/metrics"
ROUNDS, PICTURES = 4, 160
"""Together more than the 200 answers of one version from which on drift is judged."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where everything is."""

    gateway: str
    """host:port."""
    prometheus: str
    """http://host:port."""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers now: samples with `metric` and `value`."""
        url = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def ask(self, path: str, body: bytes = b"", kind: str = "application/json") -> int:
        """POST to the gateway, or GET where there is no body; returns the status."""
        connection = http.client.HTTPConnection(self.gateway, timeout=10)
        try:
            connection.request("POST" if body else "GET", path, body or None, {"Content-Type": kind} if body else {})
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Start everything, send the load, and hand over once Prometheus has seen its rates."""
    with ExitStack() as parts:
        grpc, rest = free_port(), free_port()
        parts.enter_context(following(model_server(folder, grpc, rest), "HTTP/REST API", stderr=subprocess.STDOUT))
        gateway = gateway_before(folder, grpc, rest)
        _, said = parts.enter_context(following(gateway, "gateway on", stderr=subprocess.STDOUT))
        address = next(line for line in said if "gateway on" in line).split()[2].strip("/,").removeprefix("http://")
        port = free_port()
        parts.enter_context(
            following(prometheus(folder, port, address, rest), "ready to receive", stderr=subprocess.STDOUT)
        )
        running = Stack(address, f"http://127.0.0.1:{port}")
        until(lambda: running.ask("/readyz") == 200, 60)
        for _ in range(ROUNDS):  # a rate needs scrapes before and after
            load(running)
            time.sleep(2)
        yield running


def model_server(folder: Path, grpc: int, rest: int) -> list[str]:
    """Two versions of a classifier with labels, one of a text model, and TensorFlow Serving's own page."""
    models = folder / "models"
    for version in ("1", "2"):
        shutil.copytree(SAVED / "tiny_watchful/1", models / "tiny_watchful" / version)
    shutil.copytree(SAVED / "tiny_text", models / "tiny_text")
    entry = 'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" {more} }}'
    labels = 'version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 1 }'
    watchful = entry.format(
        name="tiny_watchful",
        base=models / "tiny_watchful",
        more=f"model_version_policy {{ all {{}} }} {labels}",
    )
    text = entry.format(name="tiny_text", base=models / "tiny_text", more="")
    (folder / "models.config").write_text(f"model_config_list {{ {watchful} {text} }}")
    (folder / "monitoring.config").write_text(f'prometheus_config {{ enable: true path: "{PAGE}" }}')
    files = [f"--model_config_file={folder}/models.config", f"--monitoring_config_file={folder}/monitoring.config"]
    files.append("--allow_version_labels_for_unavailable_models")  # labels in the file that the server starts with
    ports = [f"--port={grpc}", f"--rest_api_port={rest}", "--bind_address=127.0.0.1"]
    return [sys.executable, "-m", "serving.modelserver", *ports, *files]


def gateway_before(folder: Path, grpc: int, rest: int) -> list[str]:
    """A gateway that tries version 1 as a canary and asks it as a shadow too."""
    (folder / "routing.toml").write_text('[models.tiny_watchful]\ncanary = 0.3\nshadow = "canary"\n')
    there = ["--upstream", f"127.0.0.1:{grpc}", "--upstream-rest", f"http://127.0.0.1:{rest}"]
    named = ["--models", "tiny_watchful,tiny_text", "--routing", str(folder / "routing.toml")]
    return [sys.executable, "-m", "serving.gateway", "--port", "0", "--access-log", "false", *there, *named]


def prometheus(folder: Path, port: int, gateway: str, rest: int) -> list[str]:
    """The rules as they are, evaluated every second."""
    jobs = {"gateway": (gateway, "/metrics"), "modelserver": (f"127.0.0.1:{rest}", "/metrics")}
    jobs["tensorflow-serving"] = (f"127.0.0.1:{rest}", PAGE)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(PLACE / "rules.yml")],
        "scrape_configs": [
            {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [target]}]}
            for name, (target, path) in jobs.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def load(running: Stack) -> None:
    """Pictures of three colors and an odd one, reviews, REST calls, and what callers do wrong."""
    colors = [encoded(flat(color), "JPEG") for color in ("red", "green", "blue", "white")]
    for number in range(PICTURES):
        picture = colors[number % len(colors)]
        assert running.ask("/v1/models/tiny_watchful/classify", picture, "image/jpeg") == 200
    for _ in range(5):
        assert running.ask("/v1/models/tiny_text/classify", b"a lovely, wonderful film", "text/plain") == 200
        rows = json.dumps({"instances": ["a dull film"]}).encode()
        assert running.ask("/v1/models/tiny_text:predict", rows) == 200
    assert running.ask("/v1/models/tiny_watchful/classify", b"no picture", "image/jpeg") == 400
    assert running.ask("/v1/models/unknown/classify", colors[0], "image/jpeg") == 404
