"""What the model server asks of a runtime: one version folder in, one LoadedModel out.

`choice.py` picks the runtime of a version; `lifecycle/` holds and batches loaded models, `calls/`
checks requests against their signatures. This room knows no framework and no file.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from google.protobuf.message import Message
from numpy.typing import NDArray

from serving.card import ModelCard

Tensors = Mapping[str, NDArray[Any]]
"""Alias to array. Strings are object arrays of bytes, bfloat16 is ml_dtypes.bfloat16."""

Precision = Literal["auto", "f32", "bf16", "int8"]

DEFAULT_SIGNATURE = "serving_default"

_JOINED = "\n"


def joined(signature: str, alias: str) -> str:
    """Names an output of another signature in a run; only where LoadedModel.shares_run says so."""
    return f"{signature}{_JOINED}{alias}"


def widened(signature: "Signature", outputs: Collection[str], known: Mapping[str, "Signature"]) -> "Signature":
    """The signature with those outputs besides its own that `joined` names."""
    others = {name: name.split(_JOINED, 1) for name in outputs if _JOINED in name and name not in signature.outputs}
    found = {name: known[other].outputs[alias] for name, (other, alias) in others.items()}
    return replace(signature, outputs={**signature.outputs, **found}) if found else signature


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a signature, as the SavedModel states it."""

    data_type: int
    """TensorFlow's DataType number; 7 is a string."""
    shape: tuple[int, ...] | None
    """-1 for a dimension that varies, None for an unknown rank. Stated, never enforced."""
    name: str
    """The tensor in the graph, such as `serving_default_x:0`."""

    @property
    def has_rows(self) -> bool:
        """Whether it is stated to have a first dimension of any length."""
        return self.shape is not None and self.shape[:1] == (-1,)


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a version."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = "tensorflow/serving/predict"
    defaults: Tensors = field(default_factory=dict)
    """Values of inputs that a request may leave out."""

    @property
    def has_rows(self) -> bool:
        """Whether all inputs and outputs do; that each row is computed by itself takes a card to say."""
        return bool(self.inputs) and all(spec.has_rows for spec in (*self.inputs.values(), *self.outputs.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """How to load and run versions; the same for all models of a server."""

    precision: Precision = "auto"
    """auto: bfloat16, else int8, where the CPU has it and the version's card allows it, else float32."""
    streams: int = 0
    """Runs that OpenVINO computes side by side; 0: one per two cores, but two where there are two cores."""
    threads: int = 0
    """Threads that OpenVINO computes with, all streams together; 0: one per core this process may use."""
    tags: frozenset[str] = frozenset({"serve"})
    """The MetaGraph with exactly these tags is loaded."""
    intra_op_threads: int = 0
    """TensorFlow: threads inside one operation; 0: TensorFlow decides."""
    inter_op_threads: int = 0
    """TensorFlow: operations side by side; 0: TensorFlow decides."""
    session_config: bytes = b""
    """TensorFlow: a serialized tensorflow.ConfigProto that the two numbers above are laid over."""
    gpu_memory_fraction: float = 0.0
    """TensorFlow: share of each GPU's memory to take; 0: as it grows."""
    imitate: bool = False
    """Compute in the asked precision even where the CPU has to imitate it: slow, for measuring what it does."""
    runtime: Literal["auto", "openvino", "tensorflow"] = "auto"
    """auto: OpenVINO for what it can run, TensorFlow for the rest where it is installed."""


class LoadedModel(Protocol):
    """One version, ready to answer. `run` is called from many threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Every signature in the file, whether it can run here or not."""

    @property
    def signature_defs(self) -> Mapping[str, Message]:
        """The same as stored: name to tensorflow.SignatureDef (of serving.wire.protos)."""

    @property
    def card(self) -> ModelCard | None:
        """The version's card, if it has one."""

    @property
    def runtime(self) -> str:
        """What runs serving_default: `openvino` or `tensorflow`."""

    @property
    def precision(self) -> str:
        """`f32`, `bf16` or `int8`."""

    @property
    def best_rows(self) -> int:
        """Rows of several requests that one run should take at most, beyond which they cost no less each.

        1: requests are to be run one by one. 0: they are no rows, or calls change what later ones see.
        """

    @property
    def parallel(self) -> int:
        """How many calls of run() are worth making at once."""

    def shares_run(self, signatures: Collection[str]) -> bool:
        """Whether one run gives the outputs of all these: run() of any of them takes `joined` names of the others."""

    def run(
        self,
        signature: str,
        inputs: Tensors,
        outputs: Collection[str] | None = None,
        deadline: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Compute the named outputs, or all of them.

        The caller has checked the names; dtypes are checked here, shapes by the graph alone. The
        arrays returned belong to the caller. The interpreter lock is free while it computes.

        Args:
            signature: its name.
            inputs: alias to array.
            outputs: aliases, or None for all.
            deadline: in time.monotonic() seconds. TensorFlow ends the run then; OpenVINO, which cannot,
                only loops where there is no TensorFlow.

        Raises:
            BadInput: a dtype that is not the signature's, or shapes that the graph cannot take.
            Unimplemented: the signature cannot run here; the text says what would run it.
            Unavailable: the model was closed, or the run broken off.
            DeadlineExceeded: the run was ended at its deadline.
            ServingError: whatever else the runtime reports, with its code.
        """

    def break_off(self) -> None:
        """End the runs under way, as far as that can be done, for the sake of a close() that waits for them."""

    def close(self) -> None:
        """Free the model once the runs under way are over; later runs raise Unavailable."""
