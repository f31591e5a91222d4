"""Two models trained on real photos and reviews, and one server over both, for the whole session."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import Slipway, slipway

if TYPE_CHECKING:
    from tests.e2e.answered import Answered

NEEDED = "needs TensorFlow: make install"


@pytest.fixture(scope="session")
def real_models(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which they live: models/ and cache/."""
    pytest.importorskip("tensorflow", reason=NEEDED)
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="session")
def photos(shared_data: Path, real_models: Path) -> "Answered":
    """Cats and dogs: trained, published, and asked of Keras."""
    from tests.e2e import answered

    return answered.photos(shared_data, real_models)


@pytest.fixture(scope="session")
def reviews(shared_data: Path, real_models: Path) -> "Answered":
    """Film reviews: trained, published, and asked of Keras."""
    from tests.e2e import answered

    return answered.reviews(shared_data, real_models)


@pytest.fixture(scope="session")
def server(photos: "Answered", reviews: "Answered", real_models: Path) -> Iterator[Slipway]:
    """`python -m serving` over both, in float32."""
    with slipway(real_models / "models", "--precision", "f32", "--no-access-log") as running:
        yield running
