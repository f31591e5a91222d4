"""A config replaced while the server runs: models come and go, labels move, refusals change nothing."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from serving.errors import BadInput, Code, DeadlineExceeded, FailedPrecondition, NotFound
from serving.modelserver.lifecycle.manager import (
    All,
    Latest,
    ModelManager,
    ModelSettings,
    NotAvailable,
    Specific,
)
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, see, states, wait_for
from tests.modelserver.lifecycle.doubler import Doubler, load, publish


def labelled(manager: ModelManager, label: str, name: str = "m") -> int:
    with manager.acquire(name, label=label) as served:
        return served.version


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
    manager.wait_until(lambda: manager.names() == ["m"], WAIT_S)
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


def test_a_label_of_the_config_leads_to_its_version(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    publish(base, 2)
    manager = manager_of()
    manager.configure([ModelSettings("m", base, All())])
    wait_for(manager, {2: "AVAILABLE", 1: "AVAILABLE"})

    manager.configure([ModelSettings("m", base, All(), {"stable": 1, "canary": 2, "same": 2})])

    assert labelled(manager, "stable") == 1
    assert labelled(manager, "canary") == labelled(manager, "same") == 2
    with pytest.raises(BadInput, match=r"^Unrecognized servable version label: beta$"):
        labelled(manager, "beta")
    with pytest.raises(BadInput, match=r"^Unrecognized servable version label: stable$"):
        labelled(manager, "stable", "unicorn")

    manager.configure([ModelSettings("m", base, All(), {"stable": 2})])
    assert manager.labels("m") == {"stable": 2}


def test_a_label_for_a_version_that_is_not_available_refuses_the_config(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    text = "^Request to assign label to version 1 of model m, which is not currently available for inference$"

    with pytest.raises(FailedPrecondition, match=text):
        manager.configure([ModelSettings("m", base, Latest(), {"stable": 1})])
    assert manager.names() == []

    manager.configure([ModelSettings("m", base)])
    manager.configure([ModelSettings("m", base, Latest(), {"stable": 1})])
    with pytest.raises(FailedPrecondition):
        manager.configure([ModelSettings("m", base, Latest(), {"stable": 2})])
    assert manager.labels("m") == {"stable": 1}


def test_with_leave_a_label_may_be_new_or_unchanged_but_not_move_to_an_unloaded_version(
    base: Path, manager_of: MakeManager
) -> None:
    publish(base, 1)
    manager = manager_of(allow_labels_for_unavailable=True)

    manager.configure([ModelSettings("m", base, Latest(), {"stable": 1, "next": 7})])
    assert labelled(manager, "stable") == 1
    with pytest.raises(NotFound, match=r"Specific\(m, 7\)"):
        labelled(manager, "next")

    manager.configure([ModelSettings("m", base, Latest(), {"stable": 1, "next": 7})])
    with pytest.raises(FailedPrecondition):
        manager.configure([ModelSettings("m", base, Latest(), {"stable": 8, "next": 7})])
    assert manager.labels("m") == {"stable": 1, "next": 7}


def write_labels(base: Path, text: str) -> None:
    aside = base / ".labels.tmp"
    aside.write_text(text)
    os.replace(aside, base / "labels.json")


def test_labels_of_a_folder_are_followed_and_their_versions_served(base: Path, manager_of: MakeManager) -> None:
    for version in (1, 2, 3):
        publish(base, version)
    write_labels(base, json.dumps({"stable": 2}))
    manager = manager_of()
    manager.configure([ModelSettings("m", base, labels=None)])

    wait_for(manager, {3: "AVAILABLE", 2: "AVAILABLE"})
    assert labelled(manager, "stable") == 2

    write_labels(base, json.dumps({"stable": 1}))
    see(manager, {3: "AVAILABLE", 2: "END", 1: "AVAILABLE"})
    assert labelled(manager, "stable") == 1


@pytest.mark.parametrize("text", ['{"stable": 9}', "no json", '["stable"]'])
def test_labels_of_a_folder_that_mean_nothing_leave_the_old_ones_in_force(
    base: Path, manager_of: MakeManager, text: str
) -> None:
    publish(base, 1)
    write_labels(base, '{"stable": 1}')
    manager = manager_of()
    manager.configure([ModelSettings("m", base, labels=None)])

    write_labels(base, text)
    publish(base, 2)
    manager.look()
    manager.wait_until(lambda: states(manager).get(2) == "AVAILABLE", WAIT_S)

    assert manager.labels("m") == {"stable": 1}


def test_a_label_of_a_folder_moves_only_once_its_version_is_available(base: Path, manager_of: MakeManager) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow_second(folder: Path) -> Doubler:
        if folder.name == "2":
            begun.set()
            assert go_on.wait(WAIT_S)
        return load(folder)

    publish(base, 1)
    write_labels(base, '{"stable": 1}')
    manager = manager_of(slow_second)
    manager.configure([ModelSettings("m", base, labels=None)])
    publish(base, 2)
    write_labels(base, '{"stable": 2}')
    manager.look()

    assert begun.wait(WAIT_S)
    assert labelled(manager, "stable") == 1
    go_on.set()
    wait_for(manager, {2: "AVAILABLE", 1: "END"})
    assert labelled(manager, "stable") == 2


def test_every_folder_with_a_version_under_a_root_is_a_model(tmp_path: Path, manager_of: MakeManager) -> None:
    publish(tmp_path / "a", 1)
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("no model")
    publish(tmp_path / ".hidden", 1)
    manager = manager_of()

    manager.serve_root(tmp_path)
    assert manager.names() == ["a"]
    assert states(manager, "a") == {1: "AVAILABLE"}

    publish(tmp_path / "notes", 1)
    see(manager, {1: "AVAILABLE"}, "notes")
    (tmp_path / "a").rename(tmp_path / ".a")
    see(manager, {1: "END"}, "a")
    assert manager.names() == ["notes"]


def test_one_broken_model_under_a_root_neither_stops_nor_delays_the_others(
    tmp_path: Path, manager_of: MakeManager
) -> None:
    publish(tmp_path / "bad", 1, "broken")
    publish(tmp_path / "good", 1)
    manager = manager_of(load_retries=5, load_retry_interval_s=3600)

    manager.serve_root(tmp_path)

    assert states(manager, "good") == {1: "AVAILABLE"}
    assert states(manager, "bad") == {1: "LOADING"}
    assert not manager.ready("bad")


def test_a_root_that_vanishes_unloads_nothing(tmp_path: Path, manager_of: MakeManager) -> None:
    root = tmp_path / "models"
    publish(root / "a", 1)
    manager = manager_of()
    manager.serve_root(root)

    root.rename(tmp_path / "aside")
    manager.look()

    assert states(manager, "a") == {1: "AVAILABLE"}
    assert manager.names() == ["a"]
