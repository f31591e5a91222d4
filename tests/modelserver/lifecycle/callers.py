"""Threads that ask a batcher, and a gate that holds its runs until a test lets them through."""

import threading
from typing import Any

from serving.modelserver.lifecycle.versions import Batcher
from serving.modelserver.runtimes.protocol import Tensors
from tests.modelserver.lifecycle.conftest import WAIT_S
from tests.modelserver.lifecycle.doubler import Array, rows


class Gate:
    """Used as a Doubler's before_run: each run stops here until it is let through."""

    def __init__(self) -> None:
        self._arrived, self._permits = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, _: Tensors) -> None:
        """Arrive, and wait."""
        self._arrived.release()
        assert self._permits.acquire(timeout=WAIT_S), "nobody let this run through"

    def await_run(self) -> None:
        """Wait until a run has arrived."""
        assert self._arrived.acquire(timeout=WAIT_S), "no run has begun"

    def let_through(self, runs: int = 1) -> None:
        """Let so many runs go on, now or when they arrive."""
        self._permits.release(runs)


class Asking(threading.Thread):
    """One request in a thread of its own."""

    def __init__(self, batcher: Batcher, x: Array, signature: str = "serving_default", **more: Any) -> None:
        super().__init__(daemon=True)
        self.batcher, self.inputs, self.signature, self.more = batcher, {"x": x}, signature, more
        if signature == "two":
            self.inputs["w"] = x
        self.answer: dict[str, Array] | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Ask."""
        deadline, outputs = self.more.get("deadline"), self.more.get("outputs")
        try:
            self.answer = self.batcher.run(self.signature, self.inputs, outputs, deadline)
        except BaseException as error:
            self.error = error

    def result(self) -> list[float]:
        """The first column of y; raises what the request raised."""
        self.join(WAIT_S)
        assert not self.is_alive(), "the request was never answered"
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        column: list[float] = self.answer["y"][:, 0].tolist()
        return column


def ask(batcher: Batcher, *values: float, **more: Any) -> Asking:
    """Begin a request of one row for each value."""
    return Asking(batcher, rows(*values), **more)
