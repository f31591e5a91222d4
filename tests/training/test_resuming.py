import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import numpy as np
from click.testing import CliRunner

from serving.errors import BadInput, FailedPrecondition
from training import session
from training.__main__ import cli
from training.backbones import split
from training.interruption import Interruption, Stopped
from training.order import to_json
from training.progress import Advance, Progress
from training.recipe import FineTune
from training.run_folder import RunFolder

from . import scripts
from .conftest import SILENT
from .test_fit import SMALL, build_on_backbone
from .tiny import LIVELY, TINY, learned, order_of


class Ending(Progress):
    """Ends the run, as Ctrl-C pressed twice does, when so many steps of learning are done."""

    def __init__(self, steps: int) -> None:
        super().__init__(visible=False)
        self._left = steps

    @contextlib.contextmanager
    def steps(self, what: str, total: int) -> Iterator[Advance]:
        def advance(steps: int = 1, note: str = "") -> None:
            self._left -= steps
            if "epochs" in what and self._left < 0:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture
def order(pictures: Path, cache: Path, models: Path) -> session.Order:
    return replace(order_of(pictures, cache, models), recipe=LIVELY, seed=5)


def same(one: Any, two: Any) -> bool:
    pairs = zip(one.get_weights(), two.get_weights(), strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(order: session.Order) -> None:
    first, again, other = (learned(replace(order, seed=seed), SILENT) for seed in (5, 5, 6))

    assert same(first[0], again[0])
    assert first[1].phases == again[1].phases
    assert not same(first[0], other[0])


def test_a_run_killed_in_the_middle_of_an_epoch_comes_to_what_an_unbroken_one_does(
    order: session.Order, pictures: Path, tmp_path: Path
) -> None:
    unbroken, run = learned(order, SILENT)
    program = """
        from training import phase
        take = phase.Learner.learn
        count = 0
        def learn(*words):
            global count
            count += 1
            if count == 13:
                os.kill(os.getpid(), signal.SIGKILL)
            return take(*words)
        phase.Learner.learn = learn
        learned(replace(order, recipe=LIVELY, seed=5), silent, RunFolder(place / "run"))
    """
    code, _, err = scripts.ended(scripts.start(program, pictures, tmp_path))
    assert code == -signal.SIGKILL, err
    assert len(list((tmp_path / "run" / "checkpoints" / "training").iterdir())) == 2

    resumed, again = learned(order, SILENT, RunFolder(tmp_path / "run"))

    assert same(resumed, unbroken)
    assert again.phases == run.phases
    assert len(again.phases[0].epochs["loss"]) == LIVELY.epochs


def test_a_run_broken_in_its_second_phase_keeps_the_first(small_order: session.Order, tmp_path: Path) -> None:
    unbroken, run = learned(small_order, SILENT)
    with pytest.raises(KeyboardInterrupt):
        learned(small_order, Ending(5 * 10 + 7), RunFolder(tmp_path))
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"head", "fine-tuning"}

    resumed, again = learned(small_order, SILENT, RunFolder(tmp_path))

    assert same(resumed, unbroken)
    assert again.phases == run.phases
    assert [phase.name for phase in again.phases] == ["head", "fine-tuning"]


@pytest.fixture
def small_order(order: session.Order) -> session.Order:
    """A frozen backbone with a head, then fine-tuning of two layers; 10 and 5 steps an epoch."""
    recipe = replace(
        TINY, input=SMALL, build=build_on_backbone, split=split, augment=replace(TINY.augment, flip=True),
        batch_size=16, epochs=5, fine_tune=FineTune(layers=2, learning_rate=1e-3, epochs=3),
    )  # fmt: skip
    return replace(order, recipe=recipe)


def test_a_phase_that_stopped_early_ends_with_its_best_weights_also_when_resumed(
    order: session.Order, tmp_path: Path
) -> None:
    order = replace(order, recipe=replace(LIVELY, learning_rate=0.3, patience=2, epochs=12))
    unbroken, run = learned(order, SILENT)
    epochs = len(run.phases[0].epochs["loss"])

    with pytest.raises(KeyboardInterrupt):
        learned(order, Ending(5 * (epochs - 1) + 2), RunFolder(tmp_path))
    resumed, again = learned(order, SILENT, RunFolder(tmp_path))

    assert epochs < 12
    assert same(resumed, unbroken)
    assert again.phases == run.phases


def test_who_asks_once_gets_the_epoch_finished_and_who_asks_twice_does_not(order: session.Order) -> None:
    stop, before = Interruption(), signal.getsignal(signal.SIGINT)
    with stop.heeded(SILENT):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # the handler runs between two instructions
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_was_asked_to_stop_says_after_which_epoch(
    order: session.Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interruption, "__init__", lambda self: setattr(self, "asked", True))

    with pytest.raises(Stopped, match="stopped after epoch 1 of 4 of the phase 'training'"):
        learned(order, SILENT, RunFolder(tmp_path))


def test_ctrl_c_ends_with_130_and_a_command_that_goes_on(tmp_path: Path) -> None:
    places = ["--models", str(tmp_path / "m"), "--cache-dir", str(tmp_path / "c"), "--runs", str(tmp_path / "runs")]
    command = [sys.executable, "-m", "training", "train", "xor", "--epochs", "60", *places]
    process = subprocess.Popen(command, cwd=scripts.CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("runs/*/*/checkpoints/training/*.npz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    code, _, err = scripts.ended(process)

    assert code == 130, err
    (path,) = tmp_path.glob("runs/xor/*")
    assert f"to go on: python -m training resume {path}" in err
    assert "Stopping after this epoch; once more stops at once" in err
    assert RunFolder(path).read()["status"] == "stopped"
    assert not (tmp_path / "m").exists()

    wrong = CliRunner().invoke(cli, ["train", "xor", "--resume", str(path), "--epochs", "3"])
    other = CliRunner().invoke(cli, ["train", "shapes_cnn", "--resume", str(path)])
    assert (wrong.exit_code, other.exit_code) == (2, 2)
    assert "a run goes on with the options that it began with: leave --epochs out" in wrong.stderr
    assert "is a run of xor, not of shapes_cnn" in other.stderr

    answer = CliRunner().invoke(cli, ["resume", str(path), "--quiet"])
    assert answer.exit_code == 0, answer.output
    facts = RunFolder(path).read()
    assert facts["status"] == "done"
    assert len(facts["phases"][0]["epochs"]["loss"]) == 60
    assert (tmp_path / "m" / "xor" / "1" / "saved_model.pb").is_file()
    assert not RunFolder(path).checkpoints.exists()

    again = CliRunner().invoke(cli, ["train", "xor", "--resume", str(path)])
    assert again.exit_code == 2
    assert "is done, there is nothing to go on with" in again.stderr


def test_a_run_whose_data_changed_since_does_not_go_on(trained: Any, order: session.Order, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "tiny", 0)
    folder.update(status="stopped", prepared="another set")

    with pytest.raises(FailedPrecondition, match="changed since the run began"):
        session.train(replace(order, recipe=TINY), SILENT, folder)


def test_a_full_disk_in_the_middle_of_a_run_says_so_and_the_run_goes_on_later(
    order: session.Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def full(file: int) -> None:
        if stat.S_ISREG(os.fstat(file).st_mode):  # folders are forced to the disk too
            calls.append(file)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            learned(order, SILENT, RunFolder(tmp_path))
    kept = sorted(path.name for path in (tmp_path / "checkpoints" / "training").iterdir())
    assert kept == ["epoch-0001.npz", "epoch-0002.npz"]

    resumed, _ = learned(order, SILENT, RunFolder(tmp_path))

    assert same(resumed, learned(order, SILENT)[0])


def test_a_run_that_fails_says_so_and_why_in_its_folder(order: session.Order, tmp_path: Path) -> None:
    order = replace(order, recipe=replace(TINY, learning_rate=1e30), runs=tmp_path)

    with pytest.raises(BadInput, match="not a number any more"):
        session.train(order, SILENT)

    (facts,) = (RunFolder(path).read() for path in tmp_path.glob("tiny/*"))
    assert facts["status"] == "failed"
    assert "is not a number any more: lower the learning rate" in facts["failure"]


def test_a_run_that_fails_in_its_export_goes_on_from_there(order: session.Order, tmp_path: Path) -> None:
    order = replace(order, recipe=TINY, models=tmp_path / "models", runs=tmp_path / "runs")
    order.models.write_text("a file where the folder of all models should be")

    with pytest.raises(OSError, match="models") as caught:
        session.train(order, SILENT)

    (path,) = order.runs.glob("tiny/*")
    assert RunFolder(path).read()["status"] == "failed"
    assert caught.value.__notes__ == [f"to go on: python -m training resume {path}"]

    order.models.unlink()
    session.train(order, SILENT, RunFolder(path))

    facts = RunFolder(path).read()
    assert (facts["status"], facts["failure"]) == ("done", None)


def test_weights_of_a_backbone_are_found_from_another_folder(
    order: session.Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    kept = {name: to_json(replace(order, backbone_weights=name))["backbone_weights"] for name in ("", "none", "w.h5")}

    assert kept == {"": "", "none": "none", "w.h5": str(tmp_path / "w.h5")}
