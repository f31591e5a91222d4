"""Both servers, real and running, with the two carded classifiers; and clients that ask them."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.client import Client
from clients.grpc_client import GrpcClient
from clients.http_client import HttpClient
from serving.gateway.config import GatewayConfig
from serving.gateway.remote import RemoteUpstream
from serving.gateway.server import Gateway
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.preprocess.pictures import encoded, flat
from tests.waiting import until

MODELS = ("tiny_image", "tiny_text", "tiny_watchful")


@dataclass(frozen=True)
class Servers:
    """Where they listen."""

    gateway: str
    grpc: str
    rest: str


@pytest.fixture(scope="session")
def servers(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A model server with both classifiers and a gateway in front of it, up to the end of the session."""
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        (root / name).symlink_to(saved_models / name)
    with ModelServer(ServerConfig(models_root=root, grpc_port=0, rest_port=0, drain_s=2)) as server:
        upstream = RemoteUpstream(f"127.0.0.1:{server.grpc_port}", models=MODELS)
        with Gateway(GatewayConfig(port=0, access_log=False, models=MODELS), upstream) as gateway:
            where = Servers(gateway.url, f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}")
            wait_until_ready(where.gateway)
            yield where


def wait_until_ready(url: str) -> None:
    """Until the gateway has seen an available version of every model."""
    with HttpClient(url) as client:
        until(lambda: all(model.available for model in client.status()), 30)


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Client]:
    """A client of each kind in turn."""
    with HttpClient(servers.gateway) if request.param == "http" else GrpcClient(servers.grpc) as asking:
        yield asking


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four pictures, one of them in a folder below, beside a file that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(flat("red"), "JPEG"))
    (folder / "b.PNG").write_bytes(encoded(flat("lime"), "PNG"))
    (folder / "more" / "c.webp").write_bytes(encoded(flat("blue"), "WEBP"))
    (folder / "more" / "d.gif").write_bytes(encoded(flat("red"), "GIF"))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def no_card(saved_models: Path) -> Iterator[str]:
    """A model server whose one model has no card; its gRPC address."""
    config = ServerConfig(base_path=saved_models / "half_plus_two", grpc_port=0, drain_s=2)
    with ModelServer(config) as server:
        yield f"127.0.0.1:{server.grpc_port}"


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is taken, but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
