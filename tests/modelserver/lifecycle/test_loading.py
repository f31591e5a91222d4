"""Loads that fail: retried, called off, and tried again only when there is a reason."""

import threading
from pathlib import Path

import numpy as np
import pytest

from serving.errors import Code
from serving.modelserver.lifecycle.manager import (
    All,
    ModelManager,
    ModelSettings,
    NotAvailable,
)
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, see, states, wait_for
from tests.modelserver.lifecycle.doubler import Doubler, load, publish, rows


def version_asked(manager: ModelManager, name: str = "m", version: int | None = None) -> int:
    with manager.acquire(name, version=version) as served:
        np.testing.assert_array_equal(served.run("serving_default", {"x": rows(1, 2)})["y"], rows(2, 4))
        return served.version


def test_a_failed_version_is_tried_again_only_after_it_went_and_came_back(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1, "broken")
    manager = manager_of()
    with pytest.raises(NotAvailable):
        manager.configure([ModelSettings("m", base)])
    (base / "1" / "model").write_text("good")

    manager.look()
    assert states(manager) == {1: "END"}

    (base / "1").rename(base / "aside")
    see(manager, {1: "END"})
    (base / "aside").rename(base / "1")
    see(manager, {1: "AVAILABLE"})
    assert manager.status("m", 1)[0].code == Code.OK


def test_a_file_named_as_a_number_is_a_version_that_fails_to_load(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    (base / "2").write_text("a plain file")
    manager = manager_of()

    manager.configure([ModelSettings("m", base, All())])

    wait_for(manager, {2: "END", 1: "AVAILABLE"})
    assert manager.status("m", 2)[0].code == Code.NOT_FOUND


def test_a_failing_load_shows_as_loading_until_its_retries_are_used_up(base: Path, manager_of: MakeManager) -> None:
    tries = threading.Semaphore(0)

    def count(folder: Path) -> Doubler:
        tries.release()
        return load(folder)

    publish(base, 1, "broken")
    manager = manager_of(count, load_retries=2, load_retry_interval_s=0.01)

    with pytest.raises(NotAvailable, match="the graph is broken"):
        manager.configure([ModelSettings("m", base)])

    assert [tries.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_a_version_copied_in_slowly_is_saved_by_the_retries(base: Path, manager_of: MakeManager) -> None:
    tried = threading.Event()

    def load_and_tell(folder: Path) -> Doubler:
        try:
            return load(folder)
        finally:
            tried.set()

    publish(base, 1, "broken")
    manager = manager_of(load_and_tell, load_retries=1000, load_retry_interval_s=0.01)
    manager.configure([ModelSettings("m", base)], wait=False)

    assert tried.wait(WAIT_S)
    assert states(manager) == {1: "LOADING"}
    (base / "1" / "model").write_text("good")
    wait_for(manager, {1: "AVAILABLE"})


def test_while_the_newest_version_is_retried_a_lower_one_is_loaded(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    publish(base, 2, "broken")
    manager = manager_of(load_retries=5, load_retry_interval_s=3600)

    manager.configure([ModelSettings("m", base, All())])

    assert states(manager) == {2: "LOADING", 1: "AVAILABLE"}


def test_a_retry_is_called_off_when_the_version_is_not_wanted_any_more(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1, "broken")
    manager = manager_of(load_retries=5, load_retry_interval_s=3600)
    manager.configure([ModelSettings("m", base)], wait=False)
    publish(base, 2)

    see(manager, {2: "AVAILABLE", 1: "END"})
