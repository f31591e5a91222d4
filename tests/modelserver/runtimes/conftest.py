"""Loads the committed SavedModels on one runtime or the other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.protocol import LoadedModel, RuntimeOptions

Load = Callable[[str], LoadedModel]


def floats(values: Any) -> NDArray[Any]:
    """A float32 array."""
    return np.array(values, np.float32)


def strings(values: Any) -> NDArray[Any]:
    """An array of bytes, as strings travel."""
    return np.array(values, np.object_)


def _loader(saved_models: Path, runtime: Any) -> Iterator[Load]:
    loaded: list[LoadedModel] = []

    def load(name: str) -> LoadedModel:
        loaded.append(choice.load(saved_models / name / "1", RuntimeOptions(runtime=runtime)))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


@pytest.fixture(params=["openvino", "tensorflow"])
def load(request: pytest.FixtureRequest, saved_models: Path) -> Iterator[Load]:
    """Loads by name on either runtime: what such a test says holds for both."""
    pytest.importorskip(request.param, reason=f"needs {request.param}: make install")
    yield from _loader(saved_models, request.param)


@pytest.fixture
def load_openvino(saved_models: Path) -> Iterator[Load]:
    """Loads by name as if TensorFlow were not installed."""
    yield from _loader(saved_models, "openvino")


@pytest.fixture
def load_tensorflow(saved_models: Path) -> Iterator[Load]:
    """Loads by name on TensorFlow alone."""
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
    yield from _loader(saved_models, "tensorflow")
