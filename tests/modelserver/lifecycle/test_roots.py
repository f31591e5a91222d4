"""A folder of models, each found and dropped as it comes and goes."""

import os
from pathlib import Path

import pytest

from tests.modelserver.lifecycle.conftest import MakeManager, see, states
from tests.modelserver.lifecycle.doubler import publish


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


def test_a_folder_with_a_name_that_is_not_utf_8_is_no_model(tmp_path: Path, manager_of: MakeManager) -> None:
    publish(tmp_path / "a", 1)
    publish(tmp_path / os.fsdecode(b"\xff"), 1)
    manager = manager_of()

    manager.serve_root(tmp_path)

    assert manager.names() == ["a"]


def test_labels_that_are_a_pipe_or_no_json_do_not_stop_the_look_at_others(
    tmp_path: Path, manager_of: MakeManager
) -> None:
    publish(tmp_path / "a", 1)
    publish(tmp_path / "b", 1)
    os.mkfifo(tmp_path / "a" / "labels.json")
    (tmp_path / "b" / "labels.json").write_text("[" * 100_000)
    manager = manager_of()

    manager.serve_root(tmp_path)

    assert manager.names() == ["a", "b"]
    assert states(manager, "a") == states(manager, "b") == {1: "AVAILABLE"}


def test_broken_labels_are_told_once_for_as_long_as_they_are_broken_alike(
    tmp_path: Path, manager_of: MakeManager, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path / "a", 1)
    labels = tmp_path / "a" / "labels.json"
    manager = manager_of(poll_s=0)
    told = []

    for text in ("no json", "no json", "{}", "[1]"):
        labels.write_text(text)
        manager.serve_root(tmp_path)
        told.append(caplog.text.count("the labels of a stay as they were"))

    assert told == [1, 1, 1, 2]
