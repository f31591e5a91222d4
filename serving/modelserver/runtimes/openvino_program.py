"""One compiled OpenVINO model with its pool of infer requests: arrays in, arrays out.

`on_openvino.py` makes programs from signatures and decides which one takes a call. This room
knows memory: what may be shared with the runtime, and what must be copied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput, Overloaded, ServingError
from serving.modelserver.runtimes.pool import Pool

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where an OpenVINO model has the inputs and outputs of its signature."""

    inputs: tuple[int, ...]
    """Place of each input, in the order of the signature."""
    outputs: Mapping[str, int]
    """Alias to place."""


class Program:
    """A compiled model that runs as many calls at once as it has infer requests; others wait their turn."""

    def __init__(self, openvino: Any, compiled: Any, ports: Ports) -> None:
        self._openvino = openvino
        self._inputs, self._outputs = ports.inputs, ports.outputs
        self.parallel = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = [compiled.create_infer_request() for _ in range(self.parallel)]
        self._free = Pool(self._requests)

    def warm(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Run every request once, before anyone else does, so that the first caller finds memory and threads ready."""
        for request in self._requests:
            self._compute(request, arrays)

    def run(self, arrays: Sequence[NDArray[Any]], aliases: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Compute; the arrays are read in place and only until this returns, the results are the caller's own."""
        request = self._free.take()
        try:
            self._compute(request, arrays)
            return {alias: _copied(request.get_output_tensor(self._outputs[alias])) for alias in aliases}
        finally:
            self._free.give_back(request)

    def _compute(self, request: Any, arrays: Sequence[NDArray[Any]]) -> None:
        try:
            tensors = [self._tensor(array) for array in arrays]  # the request itself keeps none of them alive
            for place, tensor in zip(self._inputs, tensors, strict=True):
                request.set_input_tensor(place, tensor)
            request.infer()
        except RuntimeError as error:
            raise failure(error) from error

    def _tensor(self, array: NDArray[Any]) -> Any:
        """The array as OpenVINO takes it, over the same memory where that is in one piece."""
        whole = array if array.flags.c_contiguous else array.copy(order="C")
        if whole.dtype == BFLOAT16:
            return self._openvino.Tensor(
                _writable(whole.view(np.uint16)), self._openvino.Shape(whole.shape), self._openvino.Type.bf16
            )
        return self._openvino.Tensor(_writable(whole), shared_memory=True)


class _Unlocked:
    """The memory of a read-only array, offered as if it could be written; OpenVINO asks for that and only reads."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        interface = array.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.flags.writeable else np.asarray(_Unlocked(array))


def _copied(tensor: Any) -> NDArray[Any]:
    """The values in memory of their own: the next run writes over the tensor's."""
    values = np.array(tensor.data)
    if tensor.element_type.get_type_name() == "bf16":
        return values.view(np.uint16).view(BFLOAT16)
    return values


def failure(error: Exception) -> ServingError:
    """What OpenVINO reports while it computes: shapes that the graph cannot take, or no memory."""
    text = reason(error)
    if "bad_alloc" in text or "allocate" in text:
        return Overloaded(f"Not enough memory for this request: {text}")
    return BadInput(text)


def reason(error: Exception) -> str:
    """OpenVINO's message without the places in its own source."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [
        line for line in lines if line and not line.startswith(("Exception from ", "Check '", "FrontEnd API failed"))
    ]
    return " ".join(told or lines)[:2000]
