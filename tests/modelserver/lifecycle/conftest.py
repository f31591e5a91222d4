"""A manager of Doublers over a temporary folder; the disk is looked at when a test says so."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.modelserver.calls.replay import REPLAYS
from serving.modelserver.lifecycle.manager import LifecycleOptions, ModelManager, State
from serving.modelserver.lifecycle.warmup import WarmupOptions
from tests.modelserver.lifecycle.doubler import load
from tests.waiting import until

MakeManager = Callable[..., ModelManager]
WAIT_S = 20.0
"""Longest wait for a fact; a test that comes near it has failed."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An empty base path of a model."""
    path = tmp_path / "m"
    path.mkdir()
    return path


USUAL: dict[str, Any] = {"poll_s": 0, "load_retries": 0, "warmup": WarmupOptions(replays=REPLAYS)}


@pytest.fixture
def manager_of() -> Iterator[MakeManager]:
    """Makes managers that are closed when the test ends."""
    made: list[ModelManager] = []

    def make(loading: Callable[[Path], Any] = load, **options: Any) -> ModelManager:
        made.append(ModelManager(loading, LifecycleOptions(**{**USUAL, **options})))
        return made[-1]

    yield make
    for manager in made:
        manager.close(drain_s=5)


def states(manager: ModelManager, name: str = "m") -> dict[int, str]:
    """Version to the name of its state, highest first."""
    return {status.version: status.state.name for status in manager.status(name)}


def wait_for(manager: ModelManager, expected: dict[int, str], name: str = "m") -> None:
    """Wait until the states are these."""
    until(lambda: states(manager, name) == expected, WAIT_S)


def see(manager: ModelManager, expected: dict[int, str], name: str = "m") -> None:
    """Look at the disk and wait for what should follow."""
    manager.look()
    wait_for(manager, expected, name)


def is_in(manager: ModelManager, version: int, state: State, name: str = "m") -> bool:
    """Whether a version is in a state."""
    return any(status.state is state for status in manager.status(name, version))
