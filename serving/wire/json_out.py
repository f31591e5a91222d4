"""From arrays and result messages to the JSON text of a REST answer.

Texts are put together by hand, since no encoder writes numbers as TensorFlow Serving does: floats with
their own width's digits and always a point, NaN and Infinity bare, strings as the bytes they are.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from math import prod
from typing import Any

import numpy as np
import orjson
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.wire import dtypes
from serving.wire.json_in import Format
from serving.wire.json_numbers import float_texts, number_texts
from serving.wire.protos import (
    POOL,
    ClassificationResult,
    GetModelMetadataResponse,
    GetModelStatusResponse,
    RegressionResult,
    SignatureDefMap,
)
from serving.wire.tensors import byte_strings

_NUMBERS = {
    dtypes.BOOL,
    dtypes.DOUBLE,
    dtypes.FLOAT,
    dtypes.INT8,
    dtypes.INT16,
    dtypes.INT32,
    dtypes.INT64,
    dtypes.UINT8,
    dtypes.UINT32,
    dtypes.UINT64,
}
"""What a REST answer may hold besides strings."""

_BYTES_SUFFIX = "_bytes"


def predict_answer(outputs: Mapping[str, NDArray[Any]], form: Format) -> bytes:
    """The body of a predict answer, `predictions` or `outputs` as the request was written.

    One output stands alone, several stand under their names.

    Raises:
        BadInput: a type that JSON cannot carry, or outputs that have no rows in common.
    """
    if not outputs:
        raise BadInput("Cannot convert empty tensor map to JSON")
    if form is Format.ROW:
        return _body("predictions", _list(_rows(outputs)))
    tensors = {name: _nested(_texts(name, array), array.shape) for name, array in outputs.items()}
    return _body("outputs", _object(tensors) if len(tensors) > 1 else next(iter(tensors.values())))


def classify_answer(result: ClassificationResult) -> bytes:
    """The body of a classify answer: for each example a list of [label, score]."""
    rows = []
    for classifications in result.classifications:
        scores = float_texts(np.array([item.score for item in classifications.classes], np.float32))
        labels = [encode_basestring(item.label) for item in classifications.classes]
        rows.append(_list([_list(pair) for pair in zip(labels, scores, strict=True)]))
    return _body("results", _list(rows))


def regress_answer(result: RegressionResult) -> bytes:
    """The body of a regress answer: one value for each example."""
    values = np.array([regression.value for regression in result.regressions], np.float32)
    return _body("results", _list(float_texts(values)))


def status_answer(status: GetModelStatusResponse) -> bytes:
    """The body of a status answer; versions are strings, states and codes are names, empty fields are there."""
    filled = GetModelStatusResponse.FromString(status.SerializeToString())
    for version in filled.model_version_status:
        version.status.SetInParent()
    return orjson.dumps(_every_field(filled), option=orjson.OPT_INDENT_2)


def metadata_answer(metadata: GetModelMetadataResponse) -> bytes:
    """The body of a metadata answer. Its Any is opened, so `signature_def` stands twice and no `@type` is left."""
    signatures = SignatureDefMap()
    metadata.metadata["signature_def"].Unpack(signatures)
    document = {
        "model_spec": _every_field(metadata.model_spec),
        "metadata": {"signature_def": _every_field(signatures)},
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def error_answer(message: str) -> bytes:
    """The body of every failure."""
    return orjson.dumps({"error": message.encode(errors="replace").decode()})


def _every_field(message: Any) -> dict[str, Any]:
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=POOL
    )


def _body(name: str, text: str) -> bytes:
    return f'{{"{name}": {text}}}'.encode("utf-8", "surrogateescape")


def _rows(outputs: Mapping[str, NDArray[Any]]) -> list[str]:
    size = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise BadInput(f"Tensor name: {name} has no shape information ")
        if size not in (-1, len(array)):
            raise BadInput(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    columns = {name: _groups(_texts(name, array), array.shape, 1) for name, array in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [_object(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _texts(name: str, array: NDArray[Any]) -> list[str]:
    """Every element's text, in row-major order."""
    data_type = dtypes.data_type(array.dtype)
    if data_type == dtypes.STRING:
        return _string_texts(array, as_base64=name.endswith(_BYTES_SUFFIX))
    if data_type in _NUMBERS:
        return number_texts(array)
    raise BadInput(f"Failed to write JSON value for tensor type: {dtypes.dtype_name(data_type)}")


def _string_texts(array: NDArray[Any], *, as_base64: bool) -> list[str]:
    values = byte_strings(array)
    if as_base64:
        return [f'{{"b64": "{b64encode(value).decode()}"}}' for value in values]
    return [encode_basestring(value.decode("utf-8", "surrogateescape")) for value in values]


def _groups(texts: list[str], shape: tuple[int, ...], level: int) -> list[str]:
    """The texts put into lists of lists by all dimensions from `level` on, innermost first."""
    for axis in range(len(shape) - 1, level - 1, -1):
        size = shape[axis]
        if size == 0:
            texts = ["[]"] * prod(shape[:axis])
        else:
            texts = [_list(texts[start : start + size]) for start in range(0, len(texts), size)]
    return texts


def _nested(texts: list[str], shape: tuple[int, ...]) -> str:
    return _groups(texts, shape, 0)[0]


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(texts)}]"


def _object(members: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{encode_basestring(name)}: {text}' for name, text in members.items())}}}"
