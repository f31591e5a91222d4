"""Many requests while versions come and go: not one may fail."""

import shutil
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from serving.modelserver.lifecycle.batching.parameters import BatchingOptions
from serving.modelserver.lifecycle.manager import ModelManager, ModelSettings, State
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, is_in, states
from tests.modelserver.lifecycle.doubler import Doubler, load, publish, rows
from tests.waiting import until

SWAPS = 20
THREADS = 12


def computing(_: object) -> None:
    """Leave the interpreter to others for a moment, as a run does."""
    time.sleep(0.0002)


class Caller(threading.Thread):
    """Asks without a pause until told to stop; remembers what went wrong and which versions answered."""

    def __init__(self, manager: ModelManager, number: int) -> None:
        super().__init__(name=f"caller-{number}", daemon=True)
        self.manager, self.number = manager, number
        self.stop = threading.Event()
        self.failures: list[BaseException] = []
        self.versions: set[int] = set()

    def run(self) -> None:
        x = rows(*[self.number] * (1 + self.number % 3))
        while not self.stop.is_set():
            try:
                with self.manager.acquire("m") as served:
                    y = served.run("serving_default", {"x": x})["y"]
                    self.versions.add(served.version)
                np.testing.assert_array_equal(y, 2 * x)
            except BaseException as error:
                self.failures.append(error)
                return


@pytest.mark.parametrize(
    "batching",
    [
        pytest.param(BatchingOptions(), id="adaptive"),
        pytest.param(BatchingOptions(mode="scheduled"), id="scheduled"),
        pytest.param(BatchingOptions(mode="none"), id="none"),
    ],
)
def test_not_one_request_fails_while_twenty_versions_come_and_go(
    base: Path, manager_of: MakeManager, batching: BatchingOptions
) -> None:
    made: list[Doubler] = []

    def keep(folder: Path) -> Doubler:
        made.append(replace(load(folder), parallel=2, before_run=computing))
        return made[-1]

    publish(base, 1)
    manager = manager_of(keep, batching=batching)
    manager.configure([ModelSettings("m", base)])
    callers = [Caller(manager, number) for number in range(1, THREADS + 1)]
    for caller in callers:
        caller.start()
    for version in range(2, SWAPS + 1):
        publish(base, version)
        manager.look()
        until(partial(is_in, manager, version, State.AVAILABLE), WAIT_S)
        shutil.rmtree(base / str(version - 1))
    for caller in callers:
        caller.stop.set()
    for caller in callers:
        caller.join(WAIT_S)

    assert [caller.failures for caller in callers] == [[]] * THREADS
    until(lambda: set(states(manager).values()) == {"AVAILABLE", "END"}, WAIT_S)
    assert len(made) == SWAPS
    assert [model.closed.is_set() for model in made] == [True] * (SWAPS - 1) + [False]
    assert len(set.union(*(caller.versions for caller in callers))) > 1
