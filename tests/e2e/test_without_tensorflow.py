"""Everything that serves and asks works where TensorFlow is not installed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clients.grpc_client import GrpcClient
from clients.http_client import HttpClient
from serving.errors import NoCard
from tests.preprocess.pictures import encoded, flat
from tests.processes import CHECKOUT, Slipway, slipway

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('tensorflow', 'keras'):
            raise ModuleNotFoundError(f'{name} is not installed', name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What makes a Python process one that has no TensorFlow."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "sitecustomize.py").write_text(BLOCKED)
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def server(
    environment: dict[str, str], saved_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Slipway]:
    """`python -m serving` over a picture model, a text model and one without a card."""
    models = tmp_path_factory.mktemp("models")
    for name in ("tiny_image", "tiny_text", "half_plus_two"):
        shutil.copytree(saved_models / name, models / name)
    with slipway(models, env=environment) as running:
        yield running


def test_the_block_blocks(environment: dict[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import tensorflow"], env=environment, capture_output=True, text=True, check=False
    )
    assert "is not installed" in answer.stderr


def test_pictures_are_classified_over_http_and_grpc(server: Slipway) -> None:
    picture = encoded(flat("red"), "JPEG")
    with HttpClient(server.url) as http, GrpcClient(server.grpc) as grpc:
        assert [client.classify([picture], "tiny_image")[0].label for client in (http, grpc)] == ["red", "red"]


def test_texts_are_classified_over_http_and_grpc(server: Slipway) -> None:
    with HttpClient(server.url) as http, GrpcClient(server.grpc) as grpc:
        assert [client.review(["a great film"], "tiny_text")[0].label for client in (http, grpc)] == ["pos", "pos"]


def test_whole_picture_files_are_taken_by_the_encoded_signature(server: Slipway) -> None:
    files = np.array([encoded(flat("blue"), "JPEG")], object)
    with GrpcClient(server.grpc) as client:
        answer = client.predict({"image_bytes": files}, "tiny_image", signature="encoded")
    assert answer["probabilities"].argmax() == 2


def test_a_model_without_a_card_is_served_as_it_is_and_the_gateway_says_how_to_make_one(server: Slipway) -> None:
    with HttpClient(f"http://{server.rest}") as rest, HttpClient(server.url) as gateway:
        answer = rest.predict({"x": np.array([[2.0]], np.float32)}, "half_plus_two")
        assert "half_plus_two" in [model.name for model in gateway.status()]
        with pytest.raises(NoCard, match="python -m training import"):
            gateway.classify([encoded(flat("red"), "JPEG")], "half_plus_two")
    assert next(iter(answer.values())).item() == 3.0


def test_the_command_line_asks_and_tells(server: Slipway, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "clients", "status", "--url", server.url]
    answer = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stderr
    assert "tiny_image" in answer.stdout
