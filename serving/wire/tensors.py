"""TensorProto to numpy and back, value for value as TensorFlow's C++ code does it.

Python helpers such as tf.make_ndarray differ (they refuse short fields, cast some types); clients
rely on the C++ reading, so it is what is written here. Strings are object arrays of bytes.
serving.wire.dtypes holds the table of data types; serving.wire.protos the messages.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput, OutOfRange
from serving.wire.dtypes import KINDS, STRING, Kind, data_type, dtype_name, numpy_dtype
from serving.wire.protos import TensorProto

__all__ = [
    "byte_strings",
    "checked_shape",
    "data_type",
    "dtype_name",
    "from_bytes",
    "from_proto",
    "from_protos",
    "numpy_dtype",
    "to_proto",
]

MOST_FILLED_BYTES = 2**28
"""Most memory for values that were not sent: a few bytes on the wire must not become gigabytes here."""

MOST_BYTES = 2**31 - 1
"""Most that one message can hold."""

MOST_DIMENSIONS = 64
"""numpy's limit; TensorFlow's own is 254."""

Room = Callable[[int], None]
"""Is told how many bytes a tensor will take of which most were not sent; raises ServingError if there is no room."""

_LENGTH_DELIMITED = 2
"""The wire type of packed fields."""


def from_protos(inputs: Mapping[str, TensorProto]) -> dict[str, NDArray[Any]]:
    """Every tensor of a request, by alias.

    Raises:
        BadInput: `tensor parsing error: <alias>`, as TensorFlow Serving words it; the cause says what is wrong.
    """
    arrays = {}
    for alias, proto in inputs.items():
        try:
            arrays[alias] = from_proto(proto)
        except BadInput as error:
            raise BadInput(f"tensor parsing error: {alias}") from error
    return arrays


def from_proto(proto: TensorProto, room: Room | None = None) -> NDArray[Any]:
    """The values of one tensor.

    `tensor_content` is read without a copy, so the array is read-only then. A typed field that is
    shorter than the shape repeats its last value, an empty one gives zeros, a surplus is dropped.

    Raises:
        BadInput: a type that cannot be carried, a negative, unknown or huge dimension, content of the
            wrong size, or more than MOST_FILLED_BYTES to be filled in.
        ServingError: what `room` raises where values are filled in.

    Source: tensorflow/core/framework/tensor.cc, Tensor::FromProto.
    """
    dtype = numpy_dtype(proto.dtype)
    if proto.tensor_shape.unknown_rank:
        raise BadInput("The tensor's shape has an unknown rank; send every dimension")
    shape = checked_shape([dim.size for dim in proto.tensor_shape.dim])
    content = proto.tensor_content
    if content and proto.dtype != STRING and 0 not in shape:
        return from_bytes(content, shape, dtype)
    count = prod(shape)
    if count == 0:
        values = np.empty(0, dtype)
    elif content:
        values = _decode_strings(content, count)
    else:
        values = _filled(_typed(proto, KINDS[proto.dtype]), count, room)
    return values.reshape(shape)


def checked_shape(sizes: Sequence[int]) -> tuple[int, ...]:
    """The dimensions of a tensor that numpy can hold; nothing is allocated.

    Raises:
        BadInput: a negative dimension, too many of them, or beyond all counting.
    """
    shape = tuple(sizes)
    if len(shape) > MOST_DIMENSIONS:
        raise BadInput(f"The tensor has {len(shape)} dimensions; at most {MOST_DIMENSIONS} are supported")
    if any(size < 0 for size in shape):
        raise BadInput(f"The tensor's shape {list(shape)} has a negative dimension")
    # An empty [0, 2**62] holds nothing, but numpy wants to be able to count the rest in bytes.
    if prod(size or 1 for size in shape) >= 2**59:
        raise BadInput(f"The tensor's shape {list(shape)} is too large")
    return shape


def from_bytes(content: bytes | memoryview, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values of a tensor from little-endian, row-major memory, without a copy: the array is read-only.

    Raises:
        BadInput: another number of bytes than the shape wants.
    """
    wanted = prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise BadInput(f"The tensor's content has {len(content)} bytes, but its shape {list(shape)} wants {wanted}")
    if dtype == np.bool_:
        patterns = np.frombuffer(content, np.uint8)
        values = patterns.view(np.bool_) if patterns.max(initial=0) <= 1 else patterns.astype(np.bool_)
    else:
        values = np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype, copy=False)
    return values.reshape(shape)


def to_proto(array: NDArray[Any], *, as_content: bool = False) -> TensorProto:
    """One tensor as a message: in the typed field of its type, or with `as_content` in tensor_content.

    Strings always travel in string_val; str elements are encoded as UTF-8.

    Raises:
        BadInput: a type that TensorFlow does not have, or an object array that holds other things than strings.
        OutOfRange: more than one message can hold.
    """
    number = data_type(array.dtype)
    proto = TensorProto(dtype=number)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.nbytes > MOST_BYTES:
        raise OutOfRange(f"A tensor of {array.nbytes} bytes does not fit into one message of {MOST_BYTES} bytes")
    if number == STRING:
        proto.string_val.extend(byte_strings(array))
        return proto
    kind = KINDS[number]
    flat = array.astype(kind.dtype.newbyteorder("<"), order="C", copy=False).reshape(-1)
    if as_content:
        proto.tensor_content = flat.tobytes()
        return proto
    _fill_field(proto, kind, flat)
    return proto


def byte_strings(array: NDArray[Any]) -> list[bytes]:
    """The elements of a string array in row-major order; str is encoded as UTF-8.

    Raises:
        BadInput: the array holds other things than strings.
    """
    values = [value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()]
    if not all(isinstance(value, bytes) for value in values):
        raise BadInput("An object array becomes a string tensor, so every element must be bytes or str")
    return values


def _decode_strings(content: bytes, count: int) -> NDArray[Any]:
    """Every length as a varint, then all the bytes: what C++ writes when asked for string content."""
    wrong = BadInput(f"tensor_content does not hold {count} strings")
    if count > len(content):
        raise wrong
    lengths, at = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            if at == len(content) or shift > 28:
                raise wrong
            length |= (content[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if content[at - 1] < 0x80:
                break
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise wrong
    values = np.empty(count, np.object_)
    for index, length in enumerate(lengths):
        values[index] = content[at : at + length]
        at += length
    return values


def _typed(proto: TensorProto, kind: Kind) -> NDArray[Any]:
    field = getattr(proto, kind.field)
    values = np.array(field[:] if kind.dtype == np.object_ else field, kind.carrier)
    if kind.dtype.kind == "c":
        return values[: len(values) // 2 * 2].view(kind.dtype)
    if kind.field == "half_val":
        return values.astype(np.uint16).view(kind.dtype)
    return values.astype(kind.dtype, copy=False)


def _filled(values: NDArray[Any], count: int, room: Room | None) -> NDArray[Any]:
    if len(values) >= count:
        return values[:count]
    if count * values.itemsize > MOST_FILLED_BYTES:
        raise BadInput(
            f"The tensor's shape wants {count} values and {len(values)} were sent; "
            f"at most {MOST_FILLED_BYTES} bytes are filled in, so send them all"
        )
    if room is not None:
        room(count * values.itemsize)
    filled = np.empty(count, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else (b"" if values.dtype == np.object_ else 0)
    return filled


def _fill_field(proto: TensorProto, kind: Kind, flat: NDArray[Any]) -> None:
    """Put values into their typed field: as memory where the wire has the same bytes, else one by one.

    extend() makes a Python object of every value: 2 ms for 77,000 of them, where parsing the packed
    field takes 0.06 ms. Floats are packed as they lie in memory, integers up to 127 as one byte each.
    """
    if kind.field == "half_val":
        flat = flat.view(np.uint16)
    if kind.carrier.kind == "f":
        _parse_field(proto, kind, flat.tobytes())
    elif flat.size and flat.min() >= 0 and flat.max() < 128:
        _parse_field(proto, kind, flat.astype(np.uint8).tobytes())
    else:
        getattr(proto, kind.field).extend(flat.tolist())


def _parse_field(proto: TensorProto, kind: Kind, packed: bytes) -> None:
    if packed:
        tag = TensorProto.DESCRIPTOR.fields_by_name[kind.field].number << 3 | _LENGTH_DELIMITED
        proto.MergeFromString(_varint(tag) + _varint(len(packed)) + packed)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
