"""What becomes of versions as they come and go on disk."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from serving.errors import Code, NotFound
from serving.modelserver.lifecycle.manager import (
    All,
    Latest,
    ModelManager,
    ModelSettings,
    NotAvailable,
    Specific,
)
from tests.modelserver.lifecycle.conftest import WAIT_S, MakeManager, see, states, wait_for
from tests.modelserver.lifecycle.doubler import Doubler, load, publish, rows


def version_asked(manager: ModelManager, name: str = "m", version: int | None = None) -> int:
    with manager.acquire(name, version=version) as served:
        np.testing.assert_array_equal(served.run("serving_default", {"x": rows(1, 2)})["y"], rows(2, 4))
        return served.version


def test_the_highest_version_serves_when_configure_returns(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    publish(base, "00000003")
    publish(base, "not-a-version")
    manager = manager_of()

    manager.configure([ModelSettings("m", base)])

    assert version_asked(manager) == 3
    assert states(manager) == {3: "AVAILABLE"}
    assert manager.ready("m")
    assert manager.names() == ["m"]


def test_an_unknown_model_or_version_is_not_found_in_the_originals_words(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])

    with pytest.raises(NotFound, match=r"^Servable not found for request: Latest\(unicorn\)$"):
        version_asked(manager, "unicorn")
    with pytest.raises(NotFound, match=r"^Servable not found for request: Specific\(m, 7\)$"):
        version_asked(manager, version=7)
    assert manager.status("unicorn") == manager.status("m", 7) == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(Latest(), [4], id="latest"),
        pytest.param(Latest(2), [4, 3], id="latest-two"),
        pytest.param(All(), [4, 3, 1], id="all"),
        pytest.param(Specific(frozenset({1, 2})), [1], id="specific-that-exist"),
    ],
)
def test_a_policy_says_which_versions_serve(
    base: Path, manager_of: MakeManager, policy: Latest | All | Specific, expected: list[int]
) -> None:
    for version in (1, 3, 4):
        publish(base, version)
    manager = manager_of()

    manager.configure([ModelSettings("m", base, policy)])

    wait_for(manager, dict.fromkeys(expected, "AVAILABLE"))


def test_the_highest_wanted_version_is_loaded_first(base: Path, manager_of: MakeManager) -> None:
    order: list[str] = []

    def note(folder: Path) -> Doubler:
        order.append(folder.name)
        return load(folder)

    for version in (1, 2, 10):
        publish(base, version)
    manager = manager_of(note)
    manager.configure([ModelSettings("m", base, All())])

    wait_for(manager, {10: "AVAILABLE", 2: "AVAILABLE", 1: "AVAILABLE"})
    assert order == ["10", "2", "1"]


def test_a_new_version_is_available_before_the_old_one_goes(base: Path, manager_of: MakeManager) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow_second(folder: Path) -> Doubler:
        if folder.name == "2":
            begun.set()
            assert go_on.wait(WAIT_S)
        return load(folder)

    publish(base, 1)
    manager = manager_of(slow_second)
    manager.configure([ModelSettings("m", base)])
    publish(base, 2)
    manager.look()

    assert begun.wait(WAIT_S)
    assert states(manager) == {2: "LOADING", 1: "AVAILABLE"}
    assert version_asked(manager) == 1
    go_on.set()
    wait_for(manager, {2: "AVAILABLE", 1: "END"})
    assert version_asked(manager) == 2


def test_a_version_in_use_is_kept_to_the_end_of_the_request(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])
    publish(base, 2)

    with manager.acquire("m") as served:
        see(manager, {2: "AVAILABLE", 1: "UNLOADING"})
        assert served.version == 1
        served.run("serving_default", {"x": rows(1)})

    wait_for(manager, {2: "AVAILABLE", 1: "END"})


def test_a_broken_version_never_takes_a_good_one_down(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])
    publish(base, 2, "broken")

    see(manager, {2: "END", 1: "AVAILABLE"})
    assert version_asked(manager) == 1
    [failed] = manager.status("m", 2)
    assert (failed.code, failed.message) == (Code.INTERNAL, "the graph is broken")

    publish(base, 3)
    see(manager, {3: "AVAILABLE", 2: "END", 1: "END"})


def test_rolling_back_loads_the_lower_version_before_the_higher_goes(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    publish(base, 2)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])

    shutil.rmtree(base / "2")
    see(manager, {2: "END", 1: "AVAILABLE"})

    publish(base, 2)
    see(manager, {2: "AVAILABLE", 1: "END"})


def test_a_model_whose_versions_are_all_gone_is_unloaded_and_comes_back(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])

    (base / "1").rename(base / "aside")
    see(manager, {1: "END"})
    with pytest.raises(NotFound):
        version_asked(manager)

    (base / "aside").rename(base / "1")
    see(manager, {1: "AVAILABLE"})


def test_a_base_path_that_vanishes_unloads_nothing_and_stops_no_other_model(
    tmp_path: Path, manager_of: MakeManager
) -> None:
    publish(tmp_path / "a", 1)
    publish(tmp_path / "b", 1)
    manager = manager_of()
    manager.configure([ModelSettings("a", tmp_path / "a"), ModelSettings("b", tmp_path / "b")])

    (tmp_path / "a").rename(tmp_path / "aside")
    publish(tmp_path / "b", 2)
    see(manager, {2: "AVAILABLE", 1: "END"}, "b")

    assert version_asked(manager, "a") == 1


def test_a_base_path_that_no_path_can_be_stops_no_other_model(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("a", Path("/a\0b")), ModelSettings("m", base)], wait=False)

    see(manager, {1: "AVAILABLE"})


def test_polling_finds_a_new_version_by_itself(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of(poll_s=0.01)
    manager.configure([ModelSettings("m", base)])

    publish(base, 2)

    wait_for(manager, {2: "AVAILABLE", 1: "END"})


def test_a_negative_interval_never_looks(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of(poll_s=-1)

    manager.configure([ModelSettings("m", base)], wait=False)

    assert manager.status("m") == []


def test_the_error_of_a_failed_load_keeps_nothing_else_alive(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1, "broken")
    with pytest.raises(NotAvailable) as caught:
        manager_of().configure([ModelSettings("m", base)])

    [version] = caught.value.failures.values()
    assert version.error is not None
    assert version.error.__traceback__ is None
