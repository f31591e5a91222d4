"""The images, built once, and a models folder that a container may read."""

import shutil
from pathlib import Path

import pytest

from tests.images import engine as engines
from tests.images.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Docker, or buildah and podman; `make images-test` asks for one of them."""
    found = engines.find()
    if found is None:
        pytest.fail("no way to build images here: apt-get install buildah podman runc mmdebstrap, or start Docker")
    return found


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """Name of the base image."""
    return engine.base()


@pytest.fixture(scope="session")
def gateway_image(engine: Engine, base: str) -> str:
    return engine.build("gateway")


@pytest.fixture(scope="session")
def modelserver_image(engine: Engine, base: str) -> str:
    return engine.build("modelserver")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, saved_models: Path) -> Path:
    """Two committed models with cards, readable by a container's user."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("tiny_image", "tiny_text"):
        shutil.copytree(saved_models / name, folder / name)
    for place in (folder, *folder.parents[:3]):
        place.chmod(place.stat().st_mode | 0o055)
    return folder
