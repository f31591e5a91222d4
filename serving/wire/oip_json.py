"""Open Inference Protocol over REST: JSON bodies, with the binary tensor data extension.

A body with the extension is JSON followed by raw tensors; the header `Inference-Header-Content-Length`,
which the door reads and writes, says where the JSON ends. An optional member that is null counts as left out: many
clients write so what they do not set.
"""

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.wire import dtypes
from serving.wire.json_numbers import number_texts
from serving.wire.json_text import parse
from serving.wire.json_values import Irregular, regular_array
from serving.wire.oip_tensors import InferRequest, datatype, from_raw, numpy_dtype, shaped, to_raw
from serving.wire.tensors import byte_strings

_READ_AS = {"b": dtypes.BOOL, "i": dtypes.INT64, "u": dtypes.UINT64, "O": dtypes.STRING}
"""The widest type of each kind; what is read is then checked to fit the type asked for."""


def read_json(body: bytes, json_length: int | None = None) -> InferRequest:
    """The tensors and wishes of a request.

    Args:
        body: the whole body.
        json_length: bytes of JSON at its start, if the header says so; the rest are raw tensors.

    Raises:
        BadInput: bad JSON, a member of a wrong kind, or a tensor that its data does not fill.
    """
    if json_length is not None and not 0 <= json_length <= len(body):
        raise BadInput(f"Inference-Header-Content-Length says {json_length}, but the body has {len(body)} bytes")
    rest = memoryview(body)[len(body) if json_length is None else json_length :]
    document = parse(body[:json_length])
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in _objects(document, "inputs"):
        name = _member(tensor, "name", str)
        if name in inputs:
            raise BadInput(f"Input '{name}' is in the request twice")
        try:
            inputs[name], rest = _tensor(tensor, rest)
        except BadInput as error:
            raise BadInput(f"Input '{name}': {error.message}") from error
    if len(rest):
        raise BadInput(f"{len(rest)} bytes follow the last tensor; check binary_data_size")
    wanted = _objects(document, "outputs") if document.get("outputs") is not None else []
    default = _flag(document, "binary_data_output", otherwise=False)
    names = tuple(_member(output, "name", str) for output in wanted)
    flags = [_flag(output, "binary_data", otherwise=default) for output in wanted]
    return InferRequest(
        inputs=inputs,
        outputs=names,
        id=_member(document, "id", str) if document.get("id") is not None else "",
        binary=frozenset(name for name, flag in zip(names, flags, strict=True) if flag),
        binary_by_default=default and not wanted,
    )


def write_json(
    outputs: Mapping[str, NDArray[Any]], *, request: InferRequest, model_name: str, model_version: str
) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON if raw tensors follow it (else None).

    Data is flat, in row-major order; NaN and Infinity are written bare.

    Raises:
        BadInput: an output of a type that the protocol does not have, or bytes that are not UTF-8 as JSON.
    """
    texts, raw = [], []
    for name, array in outputs.items():
        head = f'"name": {encode_basestring(name)}, "datatype": "{datatype(array.dtype)}", "shape": {list(array.shape)}'
        if name in request.binary or request.binary_by_default:
            raw.append(to_raw(array))
            texts.append(f'{{{head}, "parameters": {{"binary_data_size": {len(raw[-1])}}}}}')
        else:
            texts.append(f'{{{head}, "data": [{", ".join(_texts(name, array))}]}}')
    said = {"model_name": model_name, "model_version": model_version} | ({"id": request.id} if request.id else {})
    members = [f"{encode_basestring(key)}: {encode_basestring(value)}" for key, value in said.items()]
    document = f'{{{", ".join(members)}, "outputs": [{", ".join(texts)}]}}'.encode(errors="replace")
    return b"".join([document, *raw]), len(document) if raw else None


def _objects(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    values = _member(document, key, list)
    if not all(isinstance(value, dict) for value in values):
        raise BadInput(f"Every element of '{key}' must be an object")
    return list(values)


def _member(document: Mapping[str, Any], key: str, kind: type) -> Any:
    value = document.get(key)
    if not isinstance(value, kind):
        raise BadInput(f"'{key}' must be there and be a {'list' if kind is list else 'string'}")
    return value


def _parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    value = document.get("parameters")
    return value if isinstance(value, dict) else {}


def _flag(document: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = _parameters(document).get(name)
    if value is None:
        return otherwise
    if not isinstance(value, bool):
        raise BadInput(f"The parameter {name} must be true or false")
    return value


def _tensor(tensor: Mapping[str, Any], rest: memoryview) -> tuple[NDArray[Any], memoryview]:
    """One input, and what is left of the raw bytes after it."""
    kind, sizes = _member(tensor, "datatype", str), _sizes(_member(tensor, "shape", list))
    length = _parameters(tensor).get("binary_data_size")
    if length is None:
        if tensor.get("data") is None:
            raise BadInput("it has neither 'data' nor the parameter binary_data_size")
        return _from_data(tensor["data"], kind, sizes), rest
    if type(length) is not int or not 0 <= length <= len(rest):
        raise BadInput(f"binary_data_size must be a number of bytes, and {len(rest)} are left after the JSON")
    return from_raw(rest[:length], kind, sizes), rest[length:]


def _sizes(shape: Sequence[Any]) -> list[int]:
    if not all(type(size) is int for size in shape):
        raise BadInput("'shape' must be a list of whole numbers")
    return list(shape)


def _from_data(data: Any, kind: str, sizes: list[int]) -> NDArray[Any]:
    """Nested or flat data. Numbers are read in the widest type and must fit the one that is asked for."""
    dtype = numpy_dtype(kind)
    try:
        wide = regular_array(data, _READ_AS.get(dtype.kind, dtypes.DOUBLE))
    except Irregular:
        raise BadInput(f"'data' must be a list of {kind} values, flat or nested in the order of its shape") from None
    with np.errstate(over="ignore"):
        values = wide.astype(dtype, copy=False)
    if dtype.kind in "iu" and (values != wide).any():
        raise BadInput(f"a value does not fit into {kind}")
    return shaped(values, sizes)


def _texts(name: str, array: NDArray[Any]) -> list[str]:
    if array.dtype.kind not in "OSU":
        return number_texts(array)
    try:
        return [encode_basestring(value.decode()) for value in byte_strings(array)]
    except UnicodeDecodeError:
        raise BadInput(
            f"Output '{name}' holds bytes that are not UTF-8; ask for it with the parameter binary_data: true"
        ) from None
