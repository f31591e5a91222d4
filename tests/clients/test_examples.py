"""The snippets for other languages, run against the real servers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Servers
from tests.processes import CHECKOUT

EXAMPLES = CHECKOUT / "clients" / "examples"


def run(servers: Servers, *command: object) -> subprocess.CompletedProcess[str]:
    where = {"GATEWAY": servers.gateway, "REST": servers.rest, "GRPC": servers.grpc, "MODEL": "tiny_image"}
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | where,
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="apt-get install curl")
def test_the_curl_lines_are_all_answered(servers: Servers, photos: Path) -> None:
    done = run(servers, "sh", "curl.sh", photos / "a.jpg", "tiny_image", "tiny_text")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"label":"red"') >= 3
    assert '"predictions": [[0.9' in done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="apt-get install nodejs")
def test_node_asks_the_gateway(servers: Servers, photos: Path) -> None:
    done = run(servers, "node", "node/gateway.mjs", photos / "a.jpg", photos / "missing.jpg")

    assert done.returncode == 1
    assert done.stdout == f"{photos / 'a.jpg'}\tred\t0.9999\n"
    assert "missing.jpg" in done.stderr


@pytest.fixture(scope="session")
def node_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node example with the packages that it names."""
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(EXAMPLES / "node", folder, dirs_exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        pytest.skip(f"needs the npm registry: {done.stderr[-200:]}")
    return folder


@pytest.mark.skipif(shutil.which("npm") is None, reason="apt-get install npm")
def test_node_asks_over_grpc_with_packages_from_the_registry(
    servers: Servers, photos: Path, node_packages: Path
) -> None:
    done = run(servers, "node", node_packages / "grpc.mjs", photos / "a.jpg")

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{photos / 'a.jpg'}\tred\t0.9999\n"
