"""Runtimes' stand-ins: loaded models of the right shape, with no framework behind them.

A folder of versions tells which one is loaded by the name of its model: `tests/modelserver` writes
folders such as <root>/doubler/1 and a server is started with `load` instead of the runtimes.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from serving.card import ModelCard
from serving.errors import NotFound, OutOfRange
from serving.modelserver.runtimes.protocol import LoadedModel, Signature, Tensors, TensorSpec
from serving.wire import dtypes, protos

Arrays = dict[str, NDArray[Any]]
Compute = Callable[[Tensors], Arrays]

FLOAT_VECTOR = TensorSpec(dtypes.FLOAT, (-1,), "x:0")
STRING_VECTOR = TensorSpec(dtypes.STRING, (-1,), "examples:0")
ASLEEP: list[int] = []
"""One entry for each run of a sleeper that is under way."""

MATRIX = TensorSpec(dtypes.FLOAT, (-1, -1), "m:0")


class StandIn:
    """A model of signatures, each with a function that computes its outputs."""

    card: ModelCard | None = None
    runtime = "stand-in"
    precision = "f32"
    best_rows = 0
    parallel = 8

    def __init__(self, signatures: Mapping[Signature, Compute] | list[tuple[Signature, Compute]]) -> None:
        pairs = list(signatures.items()) if isinstance(signatures, Mapping) else signatures
        self.signatures = {signature.name: signature for signature, _ in pairs}
        self._compute = {signature.name: compute for signature, compute in pairs}
        self.closed = threading.Event()

    @property
    def signature_defs(self) -> Mapping[str, Message]:
        """One definition for each signature."""
        return {
            name: protos.SignatureDef(method_name=signature.method_name) for name, signature in self.signatures.items()
        }

    def shares_run(self, signatures: Collection[str]) -> bool:
        """Those that are fed in the same place."""
        return len({tuple(spec.name for spec in self.signatures[name].inputs.values()) for name in signatures}) == 1

    def run(
        self,
        signature: str,
        inputs: Tensors,
        outputs: Collection[str] | None = None,
        deadline: float | None = None,
    ) -> Arrays:
        """What the signature's function says, and for outputs of others what theirs say."""
        found = self._compute[signature](inputs)
        for name in [name for name in outputs or () if name not in found]:
            other, _, alias = name.partition("\n")
            found[name] = self._compute[other](inputs)[alias]
        return found if outputs is None else {name: found[name] for name in outputs}

    def break_off(self) -> None:
        """Nothing here can be ended."""

    def close(self) -> None:
        """Remember it."""
        self.closed.set()


def of_examples(name: str, compute: Callable[[int], Arrays], outputs: Collection[str], method: str) -> Any:
    """A signature of the tf.Example kind whose answer depends on how many examples there are."""
    signature = Signature(
        name,
        {"inputs": STRING_VECTOR},
        dict.fromkeys(outputs, MATRIX),
        f"tensorflow/serving/{method}",
    )
    return signature, lambda inputs: compute(len(inputs["inputs"]))


def labels(rows: int, columns: int = 2) -> NDArray[Any]:
    """Names of classes, [rows, columns]."""
    names = np.empty((rows, columns), np.object_)
    names[:] = [[f"class {column}".encode() for column in range(columns)]] * rows
    return names


def scores(rows: int, columns: int = 2) -> NDArray[Any]:
    """Ascending scores, [rows, columns]: the first class has the lowest."""
    return (np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) + 1) / 8


def doubler() -> LoadedModel:
    """Twice what it is given."""
    signature = Signature("serving_default", {"x": FLOAT_VECTOR}, {"y": FLOAT_VECTOR})
    return StandIn([(signature, lambda inputs: {"y": 2 * inputs["x"]})])


def sleeper() -> LoadedModel:
    """Answers after as many seconds as its input says."""

    def sleep(inputs: Tensors) -> Arrays:
        ASLEEP.append(1)
        try:
            time.sleep(float(inputs["seconds"].max()))
        finally:
            ASLEEP.pop()
        return {"slept": inputs["seconds"]}

    signature = Signature("serving_default", {"seconds": FLOAT_VECTOR}, {"slept": FLOAT_VECTOR})
    return StandIn([(signature, sleep)])


def breaker() -> LoadedModel:
    """Fails: with an error of the family, or with one that no runtime should let out."""

    def out_of_range(_: Tensors) -> Arrays:
        raise OutOfRange("x" * 3000)

    def crash(_: Tensors) -> Arrays:
        raise ZeroDivisionError("a secret of the server")

    none = Signature("serving_default", {}, {"y": FLOAT_VECTOR})
    return StandIn([(none, out_of_range), (Signature("crash", {}, {"y": FLOAT_VECTOR}), crash)])


def classifier() -> LoadedModel:
    """Classifiers and regressions, well-made and not; the examples are only counted."""
    c, r = "classify", "regress"
    both = ("classes", "scores")
    return StandIn(
        [
            of_examples("serving_default", lambda n: {"classes": labels(n), "scores": scores(n)}, both, c),
            of_examples("only_scores", lambda n: {"scores": scores(n)}, ["scores"], c),
            of_examples("only_classes", lambda n: {"classes": labels(n)}, ["classes"], c),
            of_examples("neither", lambda n: {"other": scores(n)}, ["other"], c),
            of_examples("too_many", lambda n: {}, ("classes", "scores", "more"), c),
            of_examples("flat_scores", lambda n: {"scores": scores(n)[:, 0]}, ["scores"], c),
            of_examples("lost_row", lambda n: {"classes": labels(n + 1), "scores": scores(n)}, both, c),
            of_examples("uneven", lambda n: {"classes": labels(n, 3), "scores": scores(n)}, both, c),
            of_examples("double_scores", lambda n: {"scores": scores(n).astype(np.float64)}, ["scores"], c),
            of_examples("regress", lambda n: {"outputs": scores(n)[:, 0]}, ["outputs"], r),
            of_examples("column", lambda n: {"outputs": scores(n, 1)}, ["outputs"], r),
            of_examples("wide", lambda n: {"outputs": scores(n)}, ["outputs"], r),
            of_examples("short", lambda n: {"outputs": scores(n + 1)[:, 0]}, ["outputs"], r),
            of_examples("whole", lambda n: {"outputs": np.zeros(n, np.int32)}, ["outputs"], r),
            of_examples("misnamed", lambda n: {"values": scores(n)[:, 0]}, ["values"], r),
            (
                Signature("two_inputs", {"a": STRING_VECTOR, "b": STRING_VECTOR}, {"outputs": FLOAT_VECTOR}),
                lambda _: {},
            ),
            (Signature("other_input", {"x": STRING_VECTOR}, {"outputs": FLOAT_VECTOR}), lambda _: {}),
            (
                Signature("odd_method", {"x": FLOAT_VECTOR}, {"y": FLOAT_VECTOR}, "my/method"),
                lambda inputs: {"y": inputs["x"]},
            ),
        ]
    )


MAKERS: Mapping[str, Callable[[], LoadedModel]] = {
    "doubler": doubler,
    "sleeper": sleeper,
    "breaker": breaker,
    "classifier": classifier,
}


def load(folder: Path) -> LoadedModel:
    """The stand-in that the folder of a version asks for; a version called 13 is broken."""
    if folder.name.lstrip("0") == "13":
        raise NotFound(f"Specified file path does not appear to contain a SavedModel bundle: {folder}")
    kind = folder.parent.name
    return MAKERS.get(kind, doubler)()


def publish(root: Path, model: str, *versions: int | str) -> Path:
    """Make version folders; returns the model's base path."""
    for version in versions:
        (root / model / str(version)).mkdir(parents=True)
    return root / model
