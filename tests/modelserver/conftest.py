"""Servers that live for the whole session: one of real SavedModels, one of stand-ins."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, Rest, grpc_to, rest_to
from tests.modelserver.stand_ins import MAKERS, load, publish

NO_TENSORFLOW_NEEDED = (
    "half_plus_two",
    "half_plus_three",
    "two_inputs",
    "many_types",
    "row_sums",
    "scalar_out",
    "no_default",
    "no_inputs",
    "tiny_image",
    "tiny_text",
)


def config_text(base_paths: dict[str, Path], **more: str) -> str:
    """A ModelServerConfig of these models; `more` has further lines for some of them."""
    entries = [
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more.get(name, "")} }}'
        for name, path in base_paths.items()
    ]
    return f"model_config_list {{ {' '.join(entries)} }}"


@pytest.fixture(scope="session")
def server(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The real server, both ports, with small SavedModels that need no TensorFlow."""
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(config_text({name: saved_models / name for name in NO_TENSORFLOW_NEEDED}))
    config = ServerConfig(model_config_file=file, grpc_port=0, rest_port=0, drain_s=2)
    with ModelServer(config) as running:
        yield running


@pytest.fixture(scope="session")
def stand_in_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server of stand-ins: each once, and `doubler` in the versions 1, 2 and 3 with the label `stable` on 2."""
    root = tmp_path_factory.mktemp("stand-ins")
    paths = {name: publish(root, name, 1) for name in MAKERS}
    publish(root, "doubler", 2, 3)
    file = root / "models.config"
    file.write_text(
        config_text(paths, doubler='model_version_policy { all {} } version_labels { key: "stable" value: 2 }')
    )
    config = ServerConfig(
        model_config_file=file,
        grpc_port=0,
        rest_port=0,
        drain_s=2,
        rest_timeout_s=20,
        body_timeout_s=2,
        monitoring_path="/monitoring/prometheus/metrics",
        lifecycle=LifecycleOptions(allow_labels_for_unavailable=True, poll_s=0),
    )
    with ModelServer(config, load) as running:
        for version in (1, 2, 3):
            assert running.manager.find("doubler", version, None)
        yield running


@pytest.fixture
def grpc(server: ModelServer) -> Iterator[Grpc]:
    """A channel to the real models."""
    with grpc_to(server) as channel:
        yield channel


@pytest.fixture
def rest(server: ModelServer) -> Iterator[Rest]:
    """A connection to the real models."""
    with rest_to(server) as connection:
        yield connection


@pytest.fixture
def stand_in_grpc(stand_in_server: ModelServer) -> Iterator[Grpc]:
    """A channel to the stand-ins."""
    with grpc_to(stand_in_server) as channel:
        yield channel


@pytest.fixture
def stand_in_rest(stand_in_server: ModelServer) -> Iterator[Rest]:
    """A connection to the stand-ins."""
    with rest_to(stand_in_server) as connection:
        yield connection
