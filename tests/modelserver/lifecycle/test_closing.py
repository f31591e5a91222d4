"""The end: loads thrown away, requests drained, models freed, threads gone."""

import threading
from pathlib import Path

import numpy as np
import pytest

from serving.errors import Unavailable
from serving.modelserver.lifecycle.manager import (
    ModelManager,
    ModelSettings,
    State,
)
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, wait_for
from tests.modelserver.lifecycle.doubler import Doubler, load, publish, rows
from tests.waiting import until


def version_asked(manager: ModelManager, name: str = "m", version: int | None = None) -> int:
    with manager.acquire(name, version=version) as served:
        np.testing.assert_array_equal(served.run("serving_default", {"x": rows(1, 2)})["y"], rows(2, 4))
        return served.version


def test_a_load_that_ends_when_nothing_is_wanted_any_more_is_thrown_away(base: Path, manager_of: MakeManager) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made: list[Doubler] = []

    def slow(folder: Path) -> Doubler:
        begun.set()
        assert go_on.wait(WAIT_S)
        made.append(load(folder))
        return made[-1]

    publish(base, 1)
    manager = manager_of(slow)
    manager.configure([ModelSettings("m", base)], wait=False)
    assert begun.wait(WAIT_S)

    manager.configure([])
    go_on.set()

    wait_for(manager, {1: "END"})
    assert made[0].closed.is_set()


def test_close_drains_then_frees_every_model(base: Path, manager_of: MakeManager) -> None:
    made: list[Doubler] = []

    def keep(folder: Path) -> Doubler:
        made.append(load(folder))
        return made[-1]

    publish(base, 1)
    manager = manager_of(keep)
    manager.configure([ModelSettings("m", base)])
    closing = threading.Thread(target=manager.close)
    with manager.acquire("m") as served:
        closing.start()
        until(lambda: manager.status("m", 1)[0].state is State.UNLOADING, WAIT_S)
        served.run("serving_default", {"x": rows(1)})
        assert not made[0].closed.is_set()
    closing.join(WAIT_S)

    assert made[0].closed.is_set()
    with pytest.raises(Unavailable, match="shutting down"):
        version_asked(manager)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("load-", "free-"))]


def test_close_breaks_off_the_runs_that_outlast_its_patience(base: Path, manager_of: MakeManager) -> None:
    made: list[Doubler] = []

    def keep(folder: Path) -> Doubler:
        made.append(load(folder))
        made[0].before_run = lambda _: made[0].broken_off.wait(WAIT_S)
        return made[0]

    publish(base, 1)
    manager = manager_of(keep)
    manager.configure([ModelSettings("m", base)])
    running = threading.Thread(target=version_asked, args=(manager,))
    running.start()
    until(lambda: bool(made[0].runs), WAIT_S)

    manager.close(drain_s=0.05)
    running.join(WAIT_S)

    assert made[0].broken_off.is_set()
    assert made[0].closed.wait(WAIT_S)
    until(lambda: manager.status("m", 1)[0].state is State.END, WAIT_S)


def test_closing_interrupts_a_wait_for_a_model_that_does_not_come(base: Path, manager_of: MakeManager) -> None:
    manager = manager_of()
    told: list[BaseException] = []

    def configure() -> None:
        try:
            manager.configure([ModelSettings("m", base)])
        except Unavailable as error:
            told.append(error)

    waiting = threading.Thread(target=configure)
    waiting.start()
    until(lambda: manager.names() == ["m"], WAIT_S)
    manager.close()
    waiting.join(WAIT_S)

    assert told
    assert not waiting.is_alive()
