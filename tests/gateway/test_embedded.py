"""In front of the model server of its own process, with real models; the other tests speak to it over gRPC."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.embedded import EmbeddedUpstream
from serving.gateway.config import GatewayConfig
from serving.gateway.server import Gateway
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.gateway.caller import BLUE, GREEN, JPEG, JSON, RED, TEXT, Caller, form
from tests.waiting import until

MODELS = ("tiny_image", "tiny_text", "half_plus_two")


@pytest.fixture(scope="module")
def caller(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        version = next(entry for entry in sorted((saved_models / name).iterdir()) if entry.name.isdigit())
        shutil.copytree(version, root / name / "1")
    shutil.copytree(root / "tiny_image" / "1", root / "tiny_image" / "3")
    (root / "tiny_image" / "labels.json").write_text('{"stable": 3}')
    config = GatewayConfig(port=0, access_log=False)
    with ModelServer(ServerConfig(models_root=root)) as server:
        for name in MODELS:
            server.wait_until_available(name, timeout_s=60)
        with Gateway(config, EmbeddedUpstream(server.manager)) as gateway:
            yield Caller(gateway)


def test_it_becomes_ready(caller: Caller) -> None:
    until(lambda: caller.ask("/readyz").status == 200)


def test_pictures_and_texts_are_answered(caller: Caller) -> None:
    body, headers = form(("a", "image/jpeg", BLUE), ("b", "image/jpeg", GREEN), ("c", "image/jpeg", RED))
    assert caller.ask("/v1/models/tiny_image/classify", body, headers).labels == ["blue", "green", "red"]
    texts = json.dumps({"instances": ["a great and lovely film", "awful and dull"]})
    assert caller.ask("/v1/models/tiny_text/classify", texts, JSON).labels == ["pos", "neg"]


def test_the_version_is_the_folder_s_number_whatever_the_card_says(caller: Caller) -> None:
    answer = caller.ask("/v1/models/tiny_image/classify", RED, JPEG)

    assert (answer.json["version"], answer.labels) == (3, ["red"])


def test_labels_are_resolved(caller: Caller) -> None:
    assert caller.ask("/v1/models/tiny_image/classify?label=stable", RED, JPEG).json["version"] == 3
    assert caller.ask("/v1/models/tiny_image/classify?label=canary", RED, JPEG).status == 404


@pytest.mark.parametrize(
    ("model", "body", "headers", "status"),
    [
        ("tiny_image", b"no picture", JPEG, 400),
        ("tiny_image", RED[:300], JPEG, 400),
        ("tiny_image", "a text", TEXT, 415),
        ("tiny_text", RED, JPEG, 415),
        ("tiny_text", "   ", TEXT, 422),
        ("unicorn", RED, JPEG, 404),
        ("half_plus_two", RED, JPEG, 409),
    ],
)
def test_refusals_are_those_of_the_gateway(
    caller: Caller, model: str, body: bytes | str, headers: dict[str, str], status: int
) -> None:
    assert caller.ask(f"/v1/models/{model}/classify", body, headers).status == status
