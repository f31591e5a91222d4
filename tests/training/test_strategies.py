import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import numpy as np

from serving.errors import BadInput, FailedPrecondition
from tests import processes
from training import exits, strategies
from training.run_folder import RunFolder

from . import scripts
from .conftest import SILENT
from .tiny import learned, order_of

WEIGHTS = """
        np.savez(place / f"weights-{name}.npz", *model.get_weights())
        print(run.strategy.replicas, run.phases[0].epochs["val_loss"])
"""


def weights(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def test_two_devices_of_a_machine_learn_what_one_does(
    pictures: Path, cache: Path, models: Path, tmp_path: Path
) -> None:
    program = """
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        name = "mirrored"
        recipe = replace(TINY, strategy="mirrored", log_devices=True)
        model, run = learned(replace(order, recipe=recipe), silent, RunFolder(place))
    """
    code, out, err = scripts.ended(scripts.start(program + WEIGHTS, pictures, tmp_path))
    assert code == 0, err
    assert out.startswith("2 ")

    alone, _ = learned(order_of(pictures, cache, models), SILENT)

    for one, two in zip(weights(tmp_path / "weights-mirrored.npz"), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)
    log = (tmp_path / "devices-training.txt").read_text()
    assert "Conv2D" in log
    assert all(f"device:CPU:{number}\t" in log.partition("\n\n")[0] for number in (0, 1))


def test_two_processes_learn_together_and_the_chief_alone_writes_and_publishes(pictures: Path, tmp_path: Path) -> None:
    """Batch normalization, dropout and a restored epoch: what two processes could come apart on."""
    program = """
        name = sys.argv[3]
        recipe = replace(LIVELY, strategy="multi-worker", epochs=3)
        order = replace(order, recipe=recipe, cache=place / f"cache-{name}")
        if name == "chief":
            outcome = session.train(order, silent)
            model, run = outcome.model, outcome
            print(outcome.published.folder, outcome.phases[0].epochs["val_loss"])
        else:
            session.assist(order, silent)
            print("assisted")
    """
    ports = [processes.free_port(), processes.free_port()]
    both = [
        scripts.start(program, pictures, tmp_path, name, env=scripts.cluster(index, ports))
        for index, name in enumerate(("chief", "worker"))
    ]
    (code, out, err), (other, said, complaint) = (scripts.ended(process) for process in both)

    assert (code, other) == (0, 0), err + complaint
    assert out.startswith(str(tmp_path / "models" / "lively" / "1"))
    assert said == "assisted\n"
    assert sorted(path.name for path in (tmp_path / "models" / "lively").iterdir()) == ["1"]
    (folder,) = (tmp_path / "runs" / "lively").iterdir()
    facts = RunFolder(folder).read()
    assert facts["options"]["strategy"] == "multi-worker"
    assert len(facts["phases"][0]["epochs"]["loss"]) == 3


def test_who_waits_for_other_workers_says_so_and_can_be_stopped(tmp_path: Path) -> None:
    """TensorFlow waits in C++, where Python would hear of Ctrl-C when all workers are there."""
    command = [sys.executable, "-m", "training", "train", "xor", "--strategy", "multi-worker"]
    env = os.environ | scripts.cluster(0, [processes.free_port(), processes.free_port()])
    with subprocess.Popen(
        command, cwd=tmp_path, env=env | {"PYTHONPATH": str(scripts.CHECKOUT)}, stderr=subprocess.PIPE, text=True
    ) as alone:
        assert alone.stderr is not None
        assert next(line for line in alone.stderr if line.strip()).startswith("Waiting until all workers")
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                alone.wait(4)
            alone.send_signal(signal.SIGINT)
            assert alone.wait(20) in (-signal.SIGINT, exits.STOPPED)
        finally:
            alone.kill()
    assert not (tmp_path / "runs").exists()


def test_one_device_cannot_be_mirrored() -> None:
    with pytest.raises(FailedPrecondition, match="this machine has one"):
        strategies.open_strategy("mirrored")


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("", id="missing"),
        pytest.param("{", id="no-json"),
        pytest.param(json.dumps({"cluster": {"worker": ["a:1"]}}), id="no-task"),
        pytest.param(json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}), id="index"),
        pytest.param(
            json.dumps({"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}), id="ps"
        ),
    ],
)
def test_a_cluster_that_is_not_described_is_refused_with_an_example(
    config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TF_CONFIG", config)

    with pytest.raises(BadInput, match="TF_CONFIG must hold"):
        strategies.open_strategy("multi-worker")
