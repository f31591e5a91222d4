"""A config replaced while the server runs: models come and go, labels move, refusals change nothing."""

import threading
import time
from pathlib import Path

import pytest

from serving.errors import BadInput, Code, DeadlineExceeded
from serving.modelserver.lifecycle.manager import (
    All,
    Latest,
    ModelSettings,
    NotAvailable,
    Specific,
)
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, see, states, wait_for
from tests.modelserver.lifecycle.doubler import Doubler, load, publish
from tests.waiting import until


def test_the_new_list_replaces_the_old_one(tmp_path: Path, manager_of: MakeManager) -> None:
    a, b, c = (ModelSettings(name, tmp_path / name) for name in "abc")
    for settings in (a, b, c):
        publish(settings.base_path, 1)
    manager = manager_of()
    manager.configure([a, b])

    manager.configure([b, c])

    wait_for(manager, {1: "END"}, "a")
    assert states(manager, "b") == states(manager, "c") == {1: "AVAILABLE"}
    assert sorted(manager.names()) == ["b", "c"]

    manager.configure([a])
    assert states(manager, "a") == {1: "AVAILABLE"}


def test_models_that_stay_are_not_disturbed(base: Path, manager_of: MakeManager) -> None:
    loads: list[str] = []

    def note(folder: Path) -> Doubler:
        loads.append(folder.name)
        return load(folder)

    publish(base, 1)
    manager = manager_of(note)
    manager.configure([ModelSettings("m", base)])
    with manager.acquire("m") as served:
        manager.configure([ModelSettings("m", base)])
        with manager.acquire("m") as again:
            assert again is served
    assert loads == ["1"]


def test_a_new_policy_applies_to_a_model_that_stays(base: Path, manager_of: MakeManager) -> None:
    for version in (1, 2, 3):
        publish(base, version)
    manager = manager_of()
    manager.configure([ModelSettings("m", base, All())])
    wait_for(manager, {3: "AVAILABLE", 2: "AVAILABLE", 1: "AVAILABLE"})

    manager.configure([ModelSettings("m", base, Specific(frozenset({1})))])
    wait_for(manager, {3: "END", 2: "END", 1: "AVAILABLE"})

    manager.configure([ModelSettings("m", base, Latest())])
    wait_for(manager, {3: "AVAILABLE", 2: "END", 1: "END"})


@pytest.mark.parametrize(
    ("names", "paths", "text"),
    [
        pytest.param("mm", ("/m", "/n"), "Illegal to list model m multiple times in config list", id="twice"),
        pytest.param(
            "m",
            ("m/n",),
            r"Expected model m to have an absolute path or URI; got base_path\(\)=m/n",
            id="relative-path",
        ),
    ],
)
def test_a_refused_config_changes_nothing(
    base: Path, manager_of: MakeManager, names: str, paths: tuple[str, ...], text: str
) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])

    with pytest.raises(BadInput, match=f"^{text}$"):
        manager.configure([ModelSettings(name, Path(path)) for name, path in zip(names, paths, strict=True)])

    assert states(manager) == {1: "AVAILABLE"}
    assert manager.names() == ["m"]


def test_a_new_model_that_fails_for_good_is_reported_and_the_others_serve(
    tmp_path: Path, manager_of: MakeManager
) -> None:
    publish(tmp_path / "good", 1)
    publish(tmp_path / "bad", 3, "broken")
    manager = manager_of()

    with pytest.raises(NotAvailable) as caught:
        manager.configure([ModelSettings(name, tmp_path / name) for name in ("bad", "good")])

    assert caught.value.code == Code.UNKNOWN
    assert caught.value.message == (
        "1 model(s) did not become available: {{name: bad version: 3} due to error: INTERNAL: the graph is broken}, }"
    )
    assert caught.value.describe("servable").startswith("1 servable(s) did not become available: {{name: bad")
    assert states(manager, "good") == {1: "AVAILABLE"}


def test_configure_waits_for_a_version_that_is_not_there_yet(base: Path, manager_of: MakeManager) -> None:
    manager = manager_of()
    done = threading.Event()

    def configure() -> None:
        manager.configure([ModelSettings("m", base)])
        done.set()

    waiting = threading.Thread(target=configure)
    waiting.start()
    until(lambda: manager.names() == ["m"], WAIT_S)
    assert not done.is_set()
    publish(base, 1)
    see(manager, {1: "AVAILABLE"})

    assert done.wait(WAIT_S)
    waiting.join(WAIT_S)


def test_configure_gives_up_at_its_deadline_and_loading_goes_on(base: Path, manager_of: MakeManager) -> None:
    manager = manager_of()

    with pytest.raises(DeadlineExceeded, match="a version of m"):
        manager.configure([ModelSettings("m", base)], deadline=time.monotonic())
    with pytest.raises(DeadlineExceeded):
        manager.wait_until_available("m", timeout_s=0)

    publish(base, 1)
    see(manager, {1: "AVAILABLE"})
    manager.wait_until_available("m", timeout_s=0)
