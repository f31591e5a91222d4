"""A runtime that doubles: a stand-in for tests, with no framework and the right shape."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from serving.card import ModelCard
from serving.errors import BadInput, NotFound, ServingError, Unavailable
from serving.modelserver.runtimes.protocol import Signature, Tensors, TensorSpec

Array = NDArray[Any]
FLOAT = 1
ROWS = TensorSpec(FLOAT, (-1, -1), "x:0")
SIGNATURES = {
    "serving_default": Signature("serving_default", {"x": ROWS}, {"y": TensorSpec(FLOAT, (-1, -1), "y:0")}),
    "two": Signature("two", {"x": ROWS, "w": ROWS}, {"y": ROWS, "z": ROWS}),
    "fixed": Signature("fixed", {"x": TensorSpec(FLOAT, (1, 2), "x:0")}, {"y": TensorSpec(FLOAT, (1, 2), "y:0")}),
}
POISON = -1.0
"""A value that the model refuses, wherever it stands in a batch."""


@dataclass
class Doubler:
    """y = 2 x; keeps count of its runs, refuses POISON, and must never be run after close."""

    best_rows: int = 1024
    parallel: int = 1
    before_run: Callable[[Tensors], object] = lambda inputs: None
    """Called in each run, for instance to wait for an event."""
    answer: Callable[[Array], Array] = lambda x: 2 * x
    signatures: Mapping[str, Signature] = field(default_factory=lambda: SIGNATURES)
    signature_defs: Mapping[str, Message] = field(default_factory=dict)
    card: ModelCard | None = None
    runtime: str = "doubler"
    precision: str = "f32"
    runs: list[tuple[int, ...]] = field(default_factory=list)
    """The shape of x in each run."""
    deadlines: list[float | None] = field(default_factory=list)
    """Of each run."""
    broken_off: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def shares_run(self, signatures: Collection[str]) -> bool:
        return False

    def run(
        self,
        signature: str,
        inputs: Tensors,
        outputs: Collection[str] | None = None,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        if self.closed.is_set():
            raise Unavailable("run after close")
        self.runs.append(inputs["x"].shape)
        self.deadlines.append(deadline)
        self.before_run(inputs)
        if (inputs["x"] == POISON).any():
            raise BadInput("poison")
        answers = {"y": self.answer(inputs["x"]), "z": inputs.get("w", inputs["x"])}
        if self.closed.is_set():
            raise Unavailable("closed during a run")
        return {name: answers[name] for name in outputs or self.signatures[signature].outputs}

    def break_off(self) -> None:
        self.broken_off.set()

    def close(self) -> None:
        self.closed.set()


def load(folder: Path) -> Doubler:
    """A Doubler for every folder that holds a file `model`; its text `broken` makes the load fail."""
    if not (folder / "model").is_file():
        raise NotFound(f"Specified file path does not appear to contain a SavedModel bundle: {folder}")
    if (folder / "model").read_text() == "broken":
        raise ServingError("the graph is broken")
    return Doubler()


def publish(base: Path, version: int | str, text: str = "good") -> Path:
    """Write a version aside and move it into place, as deployers do."""
    aside = base / f".{version}.tmp"
    aside.mkdir(parents=True)
    (aside / "model").write_text(text)
    return aside.rename(base / str(version))


def rows(*values: float) -> Array:
    """float32 [n, 1]."""
    return np.array([[value] for value in values], np.float32)
