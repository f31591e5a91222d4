"""One tensor's JSON value (a scalar, a base64 object or lists of them) as an array of a given type.

json_in.py asks for whole tensors here. `regular_array` is quick and only says that something is wrong;
`array_of` says what, in TensorFlow Serving's words.
"""

import binascii
import re
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput, Unimplemented
from serving.wire import dtypes
from serving.wire.dtypes import dtype_name, numpy_dtype
from serving.wire.json_text import quoted, type_name
from serving.wire.tensors import MOST_DIMENSIONS

_INT32 = (-(2**31), 2**31 - 1)
_RANGES = {
    dtypes.INT32: _INT32,
    dtypes.INT16: _INT32,
    dtypes.INT8: _INT32,
    dtypes.UINT8: _INT32,
    dtypes.INT64: (-(2**63), 2**63 - 1),
    dtypes.UINT32: (0, 2**32 - 1),
    dtypes.UINT64: (0, 2**64 - 1),
}
"""What each integer type accepts; the narrow ones take any int32 and wrap, as their wire field does."""

_FLOATS = {dtypes.FLOAT, dtypes.DOUBLE}
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")
_BLANK = re.compile(r"\s+")


BLOCK = 256
"""How many elements are looked at together in the search for a bad one; the good ones cost little so."""


class Irregular(Exception):
    """The value does not form a tensor of the wanted type; nothing more is known."""


def is_base64(value: object) -> bool:
    """Whether a value is `{"b64": "<text>"}`, which stands for one binary string."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text; blanks are ignored and padding may be missing.

    Raises:
        BadInput: it is not base64.
    """
    found = _BASE64.fullmatch(_BLANK.sub("", text))
    if found:
        digits, padding = found.groups()
        missing = -len(digits) % 4
        if missing != 3 and len(padding) in (0, missing):
            return binascii.a2b_base64(digits + "=" * missing)
    raise BadInput("Unable to base64 decode")


def array_of(value: Any, data_type: int) -> NDArray[Any]:
    """The tensor that a value holds; a scalar has rank 0.

    Raises:
        BadInput: ragged lists or values of another type, with the text of TensorFlow Serving.
        Unimplemented: JSON cannot carry this data type.
    """
    try:
        return regular_array(value, data_type)
    except Irregular:
        _complain(value, 0, _shape(value), data_type)
        raise BadInput(f"JSON Value: {quoted(value)} does not form a tensor of type {dtype_name(data_type)}") from None


def regular_array(value: Any, data_type: int) -> NDArray[Any]:
    """The tensor that a value holds.

    Raises:
        Irregular: it holds none of this type.
    """
    shape, values = _flattened(value)
    return _typed(values, data_type).reshape(shape)


def _flattened(value: Any) -> tuple[list[int], list[Any]]:
    """The shape of nested lists and their values in order; a level at a time, since each level is one list."""
    shape: list[int] = []
    values = [value]
    while values and type(values[0]) is list:
        size = len(values[0])
        if len(shape) == MOST_DIMENSIONS or set(map(type, values)) != {list} or set(map(len, values)) != {size}:
            raise Irregular
        shape.append(size)
        values = list(chain.from_iterable(values)) if len(shape) > 1 else values[0]
    return shape, values


def _typed(values: list[Any], data_type: int) -> NDArray[Any]:
    kinds = set(map(type, values))
    if not kinds:
        return np.empty(0, numpy_dtype(data_type))
    if data_type in _RANGES and kinds <= {int}:
        return _integers(values, data_type)
    if data_type in _FLOATS and kinds <= {int, float}:
        with np.errstate(over="ignore"):  # too large for float becomes infinite
            return np.fromiter(values, np.float64, len(values)).astype(numpy_dtype(data_type), copy=False)
    if data_type == dtypes.BOOL and kinds <= {bool}:
        return np.fromiter(values, np.bool_, len(values))
    if data_type == dtypes.STRING and kinds <= {str, dict}:
        array = np.empty(len(values), np.object_)
        array[:] = [_string(value) for value in values]
        return array
    raise Irregular


def _integers(values: list[Any], data_type: int) -> NDArray[Any]:
    low, high = _RANGES[data_type]
    try:
        array = np.fromiter(values, np.uint64 if data_type == dtypes.UINT64 else np.int64, len(values))
    except OverflowError:
        raise Irregular from None
    if array.size and (array.min() < low or array.max() > high):
        raise Irregular
    return array.astype(numpy_dtype(data_type), copy=False)


def _string(value: str | dict[str, Any]) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise Irregular
    try:
        return decode_base64(value["b64"])
    except BadInput:
        raise Irregular from None


def _shape(value: Any) -> list[int]:
    """What the first elements say."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MOST_DIMENSIONS:
            raise BadInput(f"Lists are nested deeper than the {MOST_DIMENSIONS} levels that a tensor may have")
        if not value:
            break
        value = value[0]
    return shape


def _is_regular(value: list[Any], shape: list[int], data_type: int) -> bool:
    try:
        return list(regular_array(value, data_type).shape) == shape
    except Irregular:
        return False


def _complain(value: Any, level: int, shape: list[int], data_type: int) -> None:
    """Raise what is wrong with the first bad value, if any is."""
    if isinstance(value, list):
        if level >= len(shape):
            raise BadInput(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise BadInput(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for start in range(0, len(value), BLOCK):
            block = value[start : start + BLOCK]
            if not _is_regular(block, [len(block), *shape[level + 1 :]], data_type):
                for element in block:
                    _complain(element, level + 1, shape, data_type)
    elif level != len(shape):
        raise BadInput(
            f"JSON Value: {quoted(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    else:
        _complain_of_type(value, data_type)


def _complain_of_type(value: Any, data_type: int) -> None:
    if isinstance(value, dict) and data_type == dtypes.STRING:
        if not is_base64(value):
            raise BadInput(f"JSON Value: {quoted(value)} not formatted correctly for base64 data")
        decode_base64(value["b64"])
        return
    if data_type not in _RANGES and data_type not in _FLOATS | {dtypes.BOOL, dtypes.STRING}:
        if isinstance(value, dict):
            raise _type_error(value, data_type)
        raise Unimplemented(f"Conversion of JSON Value: {quoted(value)} to type: {dtype_name(data_type)}")
    try:
        _typed([value], data_type)
    except Irregular:
        raise _type_error(value, data_type) from None


def _type_error(value: Any, data_type: int) -> BadInput:
    return BadInput(
        f"JSON Value: {quoted(value)} Type: {type_name(value)} is not of expected type: {dtype_name(data_type)}"
    )
