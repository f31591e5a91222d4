"""Runs without an end: at the deadline TensorFlow ends them, and a server that closes breaks them off."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.errors import DeadlineExceeded, Unavailable
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.protocol import LoadedModel, RuntimeOptions
from tests.modelserver.runtimes.conftest import Load, floats

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from tests.saved_models.graph import placeholder, save, signature  # noqa: E402 - needs TensorFlow itself

ENDLESS = {"x": floats([[1e9]])}
"""Rounds of `slow` that take hours."""


def looped_as_tensorflow_1_does(version: Path) -> None:
    """Y = x, after as many rounds as x says, in Enter, Merge, Switch and NextIteration."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None, 1])
        last = tf.reduce_max(x)
        rounds = tf.compat.v1.while_loop(lambda done: done < last, lambda done: done + 1, [tf.constant(0.0)])
        return {"serving_default": signature({"x": x}, {"y": x + 0.0 * rounds})}

    tf.compat.v1.disable_control_flow_v2()
    try:
        save(version, build)
    finally:
        tf.compat.v1.enable_control_flow_v2()


def waiting_for_nothing(version: Path) -> None:
    """Takes an element from a queue into which nobody puts any."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None, 1])
        queue = tf.queue.FIFOQueue(1, [tf.float32], [[]])
        taken = tf.cond(tf.reduce_max(x) > 1, queue.dequeue, lambda: tf.constant(0.0))
        return {"serving_default": signature({"x": x}, {"y": x + taken})}

    save(version, build)


def check_end_at_the_deadline(model: LoadedModel) -> None:
    with pytest.raises(DeadlineExceeded):
        model.run("serving_default", ENDLESS, None, time.monotonic() + 0.2)

    assert model.run("serving_default", {"x": floats([[1]])}, None, time.monotonic() + 60)["y"].shape == (1, 1)
    assert model.run("serving_default", {"x": floats([[1]])})["y"].shape == (1, 1)
    model.close()  # would wait for a run that went on


def test_a_loop_ends_at_the_deadline(load_tensorflow: Load) -> None:
    check_end_at_the_deadline(load_tensorflow("slow"))


@pytest.mark.parametrize("build", [looped_as_tensorflow_1_does, waiting_for_nothing])
def test_whatever_may_go_on_ends_at_the_deadline(build: Callable[[Path], None], tmp_path: Path) -> None:
    build(tmp_path / "1")

    check_end_at_the_deadline(choice.load(tmp_path / "1", RuntimeOptions(runtime="tensorflow")))


def test_a_deadline_that_has_passed_is_no_time_at_all_and_a_far_one_no_limit(load_tensorflow: Load) -> None:
    model = load_tensorflow("slow")

    with pytest.raises(DeadlineExceeded):
        model.run("serving_default", ENDLESS, None, time.monotonic() - 1)
    for far in (1e12, float("inf")):
        assert model.run("serving_default", {"x": floats([[2]])}, None, far)["y"].tolist() == [[4]]


def test_a_run_without_a_deadline_can_be_broken_off(load_tensorflow: Load) -> None:
    model, begun = load_tensorflow("slow"), threading.Event()

    def ask() -> None:
        begun.set()
        model.run("serving_default", ENDLESS)

    with ThreadPoolExecutor(1) as callers:
        asking = callers.submit(ask)
        assert begun.wait(60)
        time.sleep(0.2)  # so that it is most likely in the loop; if not, it is to fail the same way
        model.break_off()
        with pytest.raises(Unavailable, match="broken off"):
            asking.result(60)

    model.close()
    model.break_off()


def test_loops_run_where_they_can_be_ended(saved_models: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: make install")
    for name, runtimes in (("slow", ["tensorflow", "openvino"]), ("dense", ["openvino", "openvino"])):
        for allowed, runtime in zip(("auto", "openvino"), runtimes, strict=True):
            model = choice.load(saved_models / name / "1", RuntimeOptions(runtime=allowed))  # type: ignore[arg-type]
            assert model.runtime == runtime
            model.close()
