"""TensorFlow's data types: their numbers, names, numpy twins and the field of TensorProto that each travels in.

The lowest room of wire: tensors.py moves values by this table, the JSON and Open Inference rooms
look up names here. Types that numpy cannot hold (int4, float8, quantized, resource) have a name only.
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from serving.errors import BadInput
from serving.wire import protos

DType = np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One data type that can be carried."""

    dtype: DType
    """What the array is made of; object (of bytes) for strings."""

    field: str
    """The repeated field of TensorProto that holds the values."""

    carrier: DType
    """What that field is made of; float16 and bfloat16 travel as integer patterns, complex as pairs."""


FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, STRING, COMPLEX64, INT64, BOOL = range(1, 11)
BFLOAT16, UINT16, COMPLEX128, HALF = 14, 17, 18, 19
UINT32, UINT64 = 22, 23

KINDS: dict[int, Kind] = {
    number: Kind(np.dtype(dtype), field, np.dtype(carrier))
    for number, dtype, field, carrier in (
        (FLOAT, np.float32, "float_val", np.float32),
        (DOUBLE, np.float64, "double_val", np.float64),
        (INT32, np.int32, "int_val", np.int32),
        (UINT8, np.uint8, "int_val", np.int32),
        (INT16, np.int16, "int_val", np.int32),
        (INT8, np.int8, "int_val", np.int32),
        (STRING, np.object_, "string_val", np.object_),
        (COMPLEX64, np.complex64, "scomplex_val", np.float32),
        (INT64, np.int64, "int64_val", np.int64),
        (BOOL, np.bool_, "bool_val", np.bool_),
        (BFLOAT16, ml_dtypes.bfloat16, "half_val", np.int32),
        (UINT16, np.uint16, "int_val", np.int32),
        (COMPLEX128, np.complex128, "dcomplex_val", np.float64),
        (HALF, np.float16, "half_val", np.int32),
        (UINT32, np.uint32, "uint32_val", np.uint32),
        (UINT64, np.uint64, "uint64_val", np.uint64),
    )
}
"""Every data type that a tensor here may have, by its number in tensorflow.DataType."""

_NUMBERS = {kind.dtype: number for number, kind in KINDS.items()}
_NAMES: dict[int, str] = {number: name.removeprefix("DT_").lower() for name, number in protos.DataType.items()} | {
    0: "INVALID"
}


def numpy_dtype(data_type: int) -> DType:
    """The dtype of arrays of a data type; object for strings.

    Raises:
        BadInput: the type is unknown or numpy cannot hold it.
    """
    kind = KINDS.get(data_type)
    if kind is None:
        raise BadInput(f"Tensors of type {dtype_name(data_type)} are not supported; send one of {_supported()}")
    return kind.dtype


def data_type(dtype: DType) -> int:
    """The number in tensorflow.DataType of a numpy dtype; any byte order, any kind of string.

    Raises:
        BadInput: TensorFlow has no such type, or it cannot be carried.
    """
    if dtype.kind in "OSU":
        return STRING
    number = _NUMBERS.get(dtype if dtype.isnative else dtype.newbyteorder("="))
    if number is None:
        raise BadInput(f"Arrays of type {dtype} are not supported; use one of {_supported()}")
    return number


def dtype_name(data_type: int) -> str:
    """The name that TensorFlow prints: `float`, `int32`, `string`, `half`, `float_ref`, ..."""
    return _NAMES.get(data_type, f"unknown dtype enum ({data_type})")


def enum_name(data_type: int) -> str:
    """The name in tensorflow.DataType, such as `DT_FLOAT`; the bare number if there is none."""
    name = _NAMES.get(data_type)
    return str(data_type) if name is None else f"DT_{name.upper()}"


def _supported() -> str:
    return ", ".join(dtype_name(number) for number in KINDS)
