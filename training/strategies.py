"""Over which devices a step is spread: one, all of this machine, or those of several machines.

`steps.py` cuts every batch in as many shares as there are replicas and adds their gradients, so a run means
the same on one device and on many. With several machines every one runs the same command with its own
TF_CONFIG; the first of them, the chief, writes the run's folder and publishes.
"""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.errors import BadInput, FailedPrecondition
from training.learning import StrategyKind

_NEEDS = (
    'TF_CONFIG must hold {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}} '
    "with this process's index"
)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A tf.distribute strategy and this process's part in it."""

    spread: Any
    """tf.distribute.Strategy."""
    chief: bool = True
    """Whether this process writes and publishes."""

    @property
    def replicas(self) -> int:
        """Devices that share a batch, over all processes."""
        return int(self.spread.num_replicas_in_sync)


def open_strategy(kind: StrategyKind) -> Strategy:
    """Find the devices; for several machines, wait until all of them are there.

    Must come before TensorFlow computes anything, as it asks of strategies over several machines.

    Raises:
        BadInput: TF_CONFIG is missing or no description of a cluster.
        FailedPrecondition: there is only one device to mirror on, or TensorFlow has begun to compute.
    """
    return _OPEN[kind]()


def is_chief(kind: StrategyKind) -> bool:
    """Whether this process writes and publishes; known before the others are there.

    Raises:
        BadInput: as `open_strategy`.
    """
    return kind != "multi-worker" or _own_index(os.environ.get("TF_CONFIG", "")) == 0


def _one() -> Strategy:
    return Strategy(tf.distribute.get_strategy())


def _mirrored() -> Strategy:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise FailedPrecondition(
            f"--strategy mirrored spreads batches over several devices, and this machine has one: {devices[0].name}"
        )
    return Strategy(tf.distribute.MirroredStrategy([device.name for device in devices]))


def _multi_worker() -> Strategy:
    index = _own_index(os.environ.get("TF_CONFIG", ""))
    how = tf.distribute.experimental
    ring = how.CommunicationOptions(
        implementation=how.CommunicationImplementation.AUTO
        if tf.config.list_physical_devices("GPU")
        else how.CommunicationImplementation.RING
    )
    try:
        with _ended_at_once():
            spread = tf.distribute.MultiWorkerMirroredStrategy(communication_options=ring)
        return Strategy(spread, chief=index == 0)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise FailedPrecondition(f"the workers of TF_CONFIG cannot be joined: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """Within the block Ctrl-C ends the process: while TensorFlow waits for others, Python hears no signal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _own_index(config: str) -> int:
    try:
        found = json.loads(config)
        workers, task = found["cluster"]["worker"], found["task"]
        index = int(task["index"])
        good = set(found["cluster"]) == {"worker"} and task["type"] == "worker" and 0 <= index < len(workers)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"--strategy multi-worker: {_NEEDS}") from error
    if not good:
        raise BadInput(f"--strategy multi-worker knows workers alone: {_NEEDS}")
    return index


_OPEN: dict[StrategyKind, Callable[[], Strategy]] = {
    "none": _one,
    "mirrored": _mirrored,
    "multi-worker": _multi_worker,
}
