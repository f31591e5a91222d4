"""Open Inference Protocol, version 2, as both its forms share it: what is ready, what a model takes, inference.

oip_server.py has the two doors; inference leads into calls/predict.py like everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from numpy.typing import NDArray

from serving.errors import BadInput, NotFound
from serving.modelserver.calls import predict
from serving.modelserver.calls.call import Call
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.lifecycle.versions import State
from serving.modelserver.runtimes.protocol import TensorSpec
from serving.wire import oip, tensors

SERVER_NAME = "slipway"
EXTENSIONS = ("binary_tensor_data",)
_LARGEST_VERSION = 2**63 - 1


def server_version() -> str:
    """Of this program; 0 where it runs from a folder that was never installed."""
    try:
        return metadata.version("slipway")
    except metadata.PackageNotFoundError:
        return "0"


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """One input or output, in this protocol's words."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a model takes and gives."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


def version_of(text: str) -> int | None:
    """A version as the protocol has it, a string; empty for the highest that is available.

    Raises:
        BadInput: it is not a number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > _LARGEST_VERSION or len(text) > 19:
        raise BadInput(f"A model's version is a whole number here, not '{text[:40]}'")
    return int(text)


class OipCalls:
    """The calls, on arrays and plain values."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def ready(self) -> bool:
        """Whether every model of the config answers."""
        return all(self._manager.ready(name) for name in self._manager.names())

    def model_ready(self, name: str, version: str) -> bool:
        """Whether a model, or that version of it, answers.

        Raises:
            NotFound: the server has never known it.
        """
        number = version_of(version)
        states = self._manager.status(name, number)
        if not states:
            if number is None and name in self._manager.names():
                return False
            raise NotFound(f"There is no model {name}" + (f" of version {number}" if number is not None else ""))
        if number is None:
            return self._manager.ready(name)
        return states[0].state is State.AVAILABLE

    def model_metadata(self, name: str, version: str) -> ModelMetadata:
        """What a model's serving_default takes and gives.

        Raises:
            NotFound: it is not available.
            FailedPrecondition: it has no serving_default.
            BadInput: it has tensors that this protocol cannot carry.
        """
        with self._manager.acquire(name, version=version_of(version)) as served:
            signature = predict.signature_of(served.model, "")
            available = [str(one.version) for one in self._manager.status(name) if one.state is State.AVAILABLE]
            return ModelMetadata(
                name,
                tuple(available),
                f"{served.model.runtime}_savedmodel",
                _described(signature.inputs),
                _described(signature.outputs),
            )

    def infer(
        self, name: str, version: str, request: oip.InferRequest, deadline: float | None
    ) -> tuple[int, dict[str, NDArray[Any]]]:
        """Predict with serving_default: the version that answered, and the outputs asked for in their order."""
        with (
            Call(self._manager.metrics, "Predict", deadline, model=name) as call,
            self._manager.acquire(name, version=version_of(version)) as served,
        ):
            outputs = predict.on(
                served.model, call.runs(served), "", request.inputs, output_filter=list(request.outputs)
            )
        return served.version, {alias: outputs[alias] for alias in request.outputs or outputs}


def _described(specs: Mapping[str, TensorSpec]) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(
            alias,
            oip.datatype(tensors.numpy_dtype(spec.data_type)),
            (-1,) if spec.shape is None else spec.shape,
        )
        for alias, spec in specs.items()
    )
