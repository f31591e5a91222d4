"""Labels: from a config, checked when it is given, or from a labels.json, followed as it changes."""

import json
import os
import threading
from pathlib import Path

import pytest

from serving.errors import BadInput, FailedPrecondition, NotFound
from serving.modelserver.lifecycle.manager import (
    All,
    Latest,
    ModelManager,
    ModelSettings,
)
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, see, states, wait_for
from tests.modelserver.lifecycle.doubler import Doubler, load, publish
from tests.waiting import until


def labeled(manager: ModelManager, label: str, name: str = "m") -> int:
    with manager.acquire(name, label=label) as served:
        return served.version


def test_a_label_of_the_config_leads_to_its_version(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    publish(base, 2)
    manager = manager_of()
    manager.configure([ModelSettings("m", base, All())])
    wait_for(manager, {2: "AVAILABLE", 1: "AVAILABLE"})

    manager.configure([ModelSettings("m", base, All(), {"stable": 1, "canary": 2, "same": 2})])

    assert labeled(manager, "stable") == 1
    assert labeled(manager, "canary") == labeled(manager, "same") == 2
    with pytest.raises(BadInput, match=r"^Unrecognized servable version label: beta$"):
        labeled(manager, "beta")
    with pytest.raises(BadInput, match=r"^Unrecognized servable version label: stable$"):
        labeled(manager, "stable", "unicorn")

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
    assert labeled(manager, "stable") == 1
    with pytest.raises(NotFound, match=r"Specific\(m, 7\)"):
        labeled(manager, "next")

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
    assert labeled(manager, "stable") == 2

    write_labels(base, json.dumps({"stable": 1}))
    see(manager, {3: "AVAILABLE", 2: "END", 1: "AVAILABLE"})
    assert labeled(manager, "stable") == 1


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
    until(lambda: states(manager).get(2) == "AVAILABLE", WAIT_S)

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
    assert labeled(manager, "stable") == 1
    go_on.set()
    wait_for(manager, {2: "AVAILABLE", 1: "END"})
    assert labeled(manager, "stable") == 2


def test_a_label_keeps_its_version_serving_while_the_one_it_moves_to_is_loaded(
    base: Path, manager_of: MakeManager
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow_second(folder: Path) -> Doubler:
        if folder.name == "2":
            begun.set()
            assert go_on.wait(WAIT_S)
        return load(folder)

    for version in (1, 2, 3):
        publish(base, version)
    write_labels(base, '{"stable": 1}')
    manager = manager_of(slow_second)
    manager.configure([ModelSettings("m", base, labels=None)])
    wait_for(manager, {3: "AVAILABLE", 1: "AVAILABLE"})
    write_labels(base, '{"stable": 2}')
    manager.look()

    assert begun.wait(WAIT_S)
    assert labeled(manager, "stable") == 1
    go_on.set()
    wait_for(manager, {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"})
    assert labeled(manager, "stable") == 2
