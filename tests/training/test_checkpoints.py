import errno
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras

from serving.errors import FailedPrecondition
from training.checkpoints import Checkpoints, State, copied, restore


def state(epochs: int, finished: bool = False) -> State:
    return State(
        epochs={"loss": [0.1 * number for number in range(epochs)]},
        best_loss=0.5,
        waited=1,
        finished=finished,
        now=[np.full((2, 3), epochs, np.float32), np.array(7, np.int64)],
        best=[np.zeros(2, np.float32)],
    )


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    where = Checkpoints(tmp_path)
    where.save(state(3))

    back = where.newest()

    assert back is not None
    assert (back.epochs, back.best_loss, back.waited, back.finished, back.done) == (state(3).epochs, 0.5, 1, False, 3)
    for one, two in zip([*back.now, *back.best], [*state(3).now, *state(3).best], strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype


def test_two_are_kept_while_a_phase_goes_on_and_one_when_it_is_done(tmp_path: Path) -> None:
    where = Checkpoints(tmp_path)
    for epoch in range(1, 5):
        where.save(state(epoch))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0003.npz", "epoch-0004.npz"]

    where.save(state(5, finished=True))

    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0005.npz"]


def test_a_checkpoint_of_another_version_of_this_program_is_refused_with_a_sentence(tmp_path: Path) -> None:
    facts = np.array('{"epochs": {}, "best_loss": 1.0, "waited": 0, "finished": false, "momentum": 0.9}')
    np.savez(tmp_path / "epoch-0001.npz", facts=facts)

    with pytest.raises(FailedPrecondition, match=r"no checkpoint in .* can be read: train anew"):
        Checkpoints(tmp_path).newest()


def test_the_ten_thousandth_epoch_is_newer_than_those_before(tmp_path: Path) -> None:
    where = Checkpoints(tmp_path)
    for epoch in (9_998, 9_999, 10_000, 10_001):
        where.save(state(epoch))

    back = where.newest()

    assert back is not None
    assert back.done == 10_001


def test_a_spoiled_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    where = Checkpoints(tmp_path)
    where.save(state(1))
    where.save(state(2))
    (tmp_path / "epoch-0002.npz").write_bytes((tmp_path / "epoch-0002.npz").read_bytes()[:100])

    back = where.newest()

    assert back is not None
    assert back.done == 1
    (tmp_path / "epoch-0001.npz").write_bytes(b"")
    with pytest.raises(FailedPrecondition, match=r"no checkpoint .* can be read"):
        where.newest()


def test_a_full_disk_keeps_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = Checkpoints(tmp_path)
    where.save(state(1))

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        where.save(state(2))

    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001.npz"]


def test_workers_that_only_read_write_nothing(tmp_path: Path) -> None:
    Checkpoints(tmp_path, writes=False).save(state(1))

    assert not list(tmp_path.iterdir())
    assert Checkpoints(tmp_path).newest() is None


def test_a_checkpoint_of_another_network_is_refused() -> None:
    wide, narrow = (keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)]) for units in (4, 2))

    with pytest.raises(FailedPrecondition, match="of another network"):
        restore(narrow.variables, copied(wide.variables))
