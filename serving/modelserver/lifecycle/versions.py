"""One version of one model in this server's life: its state, and the handle that runs it.

    START -> LOADING -> AVAILABLE -> UNLOADING -> END
    START -> END                    never begun
    LOADING -> END                  failed for good, or called off
    LOADING -> UNLOADING            no longer wanted when it was loaded

lineup.py decides what happens to the versions of a model, engine.py makes it happen. A version
that is loaded again is a new Version, from START.
"""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from serving.card import ModelCard
from serving.errors import Code, DeadlineExceeded, ServingError
from serving.modelserver.runtimes.protocol import LoadedModel, Tensors


class State(IntEnum):
    """As GetModelStatus numbers them."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


_NEXT: dict[State, tuple[State, ...]] = {
    State.START: (State.LOADING, State.END),
    State.LOADING: (State.AVAILABLE, State.UNLOADING, State.END),
    State.AVAILABLE: (State.UNLOADING,),
    State.UNLOADING: (State.END,),
    State.END: (),
}


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What GetModelStatus says of one version."""

    version: int
    state: State
    code: int = Code.OK
    message: str = ""


class Batcher(Protocol):
    """How the runs of one version are put together."""

    def run(
        self, signature: str, inputs: Tensors, outputs: Collection[str] | None, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        """Run alone or with others; returns this request's rows."""

    def close(self) -> None:
        """Stop every thread of its own. Nobody calls run() any more."""


class ServedVersion:
    """A loaded version and the count of those who use it. Held with `ModelManager.acquire`."""

    def __init__(self, name: str, version: int, model: LoadedModel, batcher: Batcher) -> None:
        self.name, self.version, self.model = name, version, model
        self._batcher = batcher
        self._lock = threading.Lock()
        self._users = 0
        self._when_idle: Callable[[], None] | None = None

    @property
    def card(self) -> ModelCard | None:
        """What the version promises, if it says so."""
        return self.model.card

    def run(
        self,
        signature: str,
        inputs: Tensors,
        outputs: Collection[str] | None = None,
        *,
        deadline: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Compute the named outputs, or all; names have been checked by the caller.

        Args:
            signature: one that the model has.
            inputs: alias to array.
            outputs: aliases; None for all.
            deadline: in time.monotonic() seconds.

        Raises:
            DeadlineExceeded: the time is over, before the run, in it or at its end.
            Overloaded: too many wait already; `retry_after_s` says when to come again.
            ServingError: what the runtime or the batching says.
        """
        answer = self._batcher.run(signature, inputs, outputs, deadline)
        if deadline is not None and time.monotonic() >= deadline:
            raise DeadlineExceeded(f"{self.name} answered after the deadline of the request")
        return answer

    def enter(self) -> bool:
        """Count one user more; False if the version is on its way out."""
        with self._lock:
            if self._when_idle is not None:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """Count one user less; the last one out of a retired version has it closed."""
        with self._lock:
            self._users -= 1
            idle = self._when_idle if not self._users else None
        if idle is not None:
            idle()

    def retire(self, when_idle: Callable[[], None]) -> None:
        """Let nobody in any more and call `when_idle` once, when the last user has left."""
        with self._lock:
            self._when_idle = when_idle
            busy = self._users
        if not busy:
            when_idle()

    def break_off(self) -> None:
        """End the runs under way that can be ended; for a server that cannot wait any longer."""
        self.model.break_off()

    def close(self) -> None:
        """Stop the batching and free the model."""
        self._batcher.close()
        self.model.close()


class Version:
    """Where one version stands. Changed by the engine alone, under its lock."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.folder = number, folder
        self.state = State.START
        self.error: ServingError | None = None
        """What the last load said; shown once the version has ended."""
        self.failures = 0
        """Loads that failed."""
        self.resting = False
        """Between two tries of a load."""
        self.called_off = threading.Event()
        """Not wanted any more: a load is not tried again."""
        self.served: ServedVersion | None = None
        """From AVAILABLE until it is freed."""

    def to(self, state: State) -> None:
        """Move on. A move that the picture above does not have is a mistake of ours."""
        if state not in _NEXT[self.state]:
            raise ServingError(f"version {self.number} cannot go from {self.state.name} to {state.name}")
        self.state = state

    @property
    def status(self) -> VersionStatus:
        """For GetModelStatus: an error shows only when nothing will be tried any more."""
        if self.error is None or self.state is not State.END:
            return VersionStatus(self.number, self.state)
        return VersionStatus(self.number, self.state, self.error.code, self.error.message)
