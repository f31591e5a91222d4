"""Where a phase of learning stands, on disk, so that a stopped or killed run goes on as if nothing had been.

    <run>/checkpoints/<phase>/epoch-0003.npz     everything that a step changes, and the history so far

Each is written aside and renamed; two are kept, so that one that the disk spoiled does not end the run.
The last of a phase is marked as finished and the only one left.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import FailedPrecondition
from serving.repository import write_whole

KEPT = 2
Arrays = Sequence[NDArray[Any]]


@dataclass(slots=True, kw_only=True)
class State:
    """Where a phase stands after an epoch."""

    epochs: dict[str, list[float]] = field(default_factory=dict)
    """The history: one value an epoch of every measure."""
    best_loss: float = float("inf")
    """The least validation loss so far."""
    waited: int = 0
    """Epochs since then."""
    finished: bool = False
    now: Arrays = ()
    """Everything that a step changes."""
    best: Arrays = ()
    """The weights of the best epoch; empty where they need not be kept."""

    @property
    def done(self) -> int:
        """Epochs so far."""
        return len(self.epochs.get("loss", ()))


class Checkpoints:
    """The checkpoints of one phase."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        """Args: writes: False for the workers that only read."""
        self._folder, self._writes = folder, writes

    def save(self, state: State) -> None:
        """Keep the state.

        Raises:
            OSError: no space or no permission; the checkpoints before are still there.
        """
        if not self._writes:
            return
        facts = {"epochs": state.epochs, "best_loss": state.best_loss, "waited": state.waited}
        arrays = {"facts": np.array(json.dumps(facts | {"finished": state.finished}))}
        for kind, values in (("now", state.now), ("best", state.best)):
            arrays |= {f"{kind}-{number:04d}": value for number, value in enumerate(values)}
        write_whole(self._path(state.done), lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        for old in self._all()[: -1 if state.finished else -KEPT]:
            old.unlink()

    def newest(self) -> State | None:
        """The newest state that can be read; None if there is none.

        Raises:
            FailedPrecondition: there are checkpoints, and none can be read.
        """
        paths = self._all()
        for path in reversed(paths):
            try:
                return _read(path)
            except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
                continue
        if paths:
            raise FailedPrecondition(f"no checkpoint in {self._folder} can be read: train anew")
        return None

    def _path(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04d}.npz"

    def _all(self) -> list[Path]:
        """In the order of their epochs, those of five digits too."""
        return sorted(self._folder.glob("epoch-*.npz"), key=lambda path: (len(path.name), path.name))


def _read(path: Path) -> State:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        facts = json.loads(str(arrays["facts"]))
        parts = {kind: [arrays[name] for name in arrays.files if name.startswith(kind)] for kind in ("now-", "best-")}
    return State(**facts, now=parts["now-"], best=parts["best-"])


def restore(variables: Sequence[Any], values: Arrays) -> None:
    """Give variables the values that a checkpoint holds.

    Raises:
        FailedPrecondition: it is of another network.
    """
    if [tuple(one.shape) for one in variables] != [value.shape for value in values]:
        raise FailedPrecondition("the checkpoint is of another network: its recipe has changed since; train anew")
    for one, value in zip(variables, values, strict=True):
        one.assign(value)


def copied(variables: Sequence[Any]) -> list[NDArray[Any]]:
    """The values as they are now."""
    return [np.array(one.numpy()) for one in variables]
