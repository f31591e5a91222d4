"""What both forms of the Open Inference Protocol share: its data types, raw tensors and a request as read.

oip_grpc.py and oip_json.py stand above; oip.py is the name that the doors import.
Source: the Open Inference Protocol, version 2, and its binary tensor data extension.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.wire.tensors import byte_strings, checked_shape, from_bytes

DATATYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(dtype)
    for name, dtype in {
        "BOOL": np.bool_,
        "UINT8": np.uint8,
        "UINT16": np.uint16,
        "UINT32": np.uint32,
        "UINT64": np.uint64,
        "INT8": np.int8,
        "INT16": np.int16,
        "INT32": np.int32,
        "INT64": np.int64,
        "FP16": np.float16,
        "FP32": np.float32,
        "FP64": np.float64,
        "BF16": ml_dtypes.bfloat16,
        "BYTES": np.object_,
    }.items()
}
"""The numpy twin of every datatype; BYTES are object arrays of bytes."""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """An inference request, whichever form it came in. Parameters that this server does not know are left out."""

    inputs: dict[str, NDArray[Any]]

    outputs: tuple[str, ...] = ()
    """The names asked for, in order; empty means every output."""

    id: str = ""

    binary: frozenset[str] = field(default=frozenset())
    """REST: the outputs to answer as raw bytes; gRPC does not look at it."""

    binary_by_default: bool = False
    """The same for outputs that the request does not list; over gRPC whether the answer is raw."""


def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a numpy dtype, such as FP32.

    Raises:
        BadInput: the protocol has none for it (complex numbers).
    """
    if dtype.kind in "SU":
        return "BYTES"
    name = _NAMES.get(dtype if dtype.isnative else dtype.newbyteorder("="))
    if name is None:
        raise BadInput(f"The Open Inference Protocol has no datatype for {dtype}")
    return name


def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """The numpy dtype of one of the protocol's names.

    Raises:
        BadInput: there is no such datatype.
    """
    dtype = DATATYPES.get(datatype)
    if dtype is None:
        raise BadInput(f"Unknown datatype '{datatype}'; use one of {', '.join(DATATYPES)}")
    return dtype


def from_raw(content: bytes | memoryview, datatype: str, sizes: list[int]) -> NDArray[Any]:
    """A tensor from its raw bytes, without a copy except for BYTES.

    Raises:
        BadInput: unknown datatype, impossible shape, or bytes that do not fill it exactly.
    """
    dtype, shape = numpy_dtype(datatype), checked_shape(sizes)
    if datatype != "BYTES":
        return from_bytes(content, shape, dtype)
    return shaped(_split(content), sizes)


def to_raw(array: NDArray[Any]) -> bytes:
    """A tensor's raw bytes: little-endian and row-major, BYTES each behind its length in 4 bytes."""
    if array.dtype.kind not in "OSU":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(_LENGTH.pack(len(value)) + value for value in byte_strings(array))


def shaped(values: NDArray[Any], sizes: list[int]) -> NDArray[Any]:
    """Values in the shape that the request states.

    Raises:
        BadInput: an impossible shape, or another number of values than it wants.
    """
    shape = checked_shape(sizes)
    try:
        return values.reshape(shape)
    except ValueError:
        raise BadInput(f"{values.size} values were sent, but the shape {sizes} wants another number") from None


def _split(content: bytes | memoryview) -> NDArray[Any]:
    values, at = [], 0
    while at < len(content):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(content, at)[0] if start <= len(content) else start
        if at > len(content):
            raise BadInput("A BYTES tensor ends in the middle of an element; each is 4 bytes of length and its bytes")
        values.append(bytes(content[start:at]))
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array
