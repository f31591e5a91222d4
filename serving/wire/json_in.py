"""From a parsed predict request to tensors: the row format (`instances`) and the columnar one (`inputs`).

Knows the signature only as a mapping of input alias to data type. An ordinary request is turned into
arrays all at once; where that fails, the request is walked value by value to say what is wrong.
json_text.py parses, json_values.py turns one tensor's values into an array.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from numpy.typing import NDArray

from serving.errors import BadInput, ServingError
from serving.wire.json_text import quoted
from serving.wire.json_values import BLOCK, Irregular, array_of, is_base64, regular_array

Arrays = dict[str, NDArray[Any]]


class Format(Enum):
    """How the request was written; the answer is written the same way."""

    ROW = "instances"
    COLUMNAR = "inputs"


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request asks for; empty if it does not say.

    Raises:
        BadInput: it is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise BadInput(
            f"JSON Value: {quoted(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def predict_inputs(
    document: Mapping[str, Any], data_types: Mapping[str, int], signature: str = ""
) -> tuple[Arrays, Format]:
    """The input tensors of a predict request.

    Args:
        document: the parsed body.
        data_types: the signature's inputs, alias to number in tensorflow.DataType.
        signature: its name as the request gave it, for an error text.

    Raises:
        BadInput: with the texts of TensorFlow Serving.
        Unimplemented: a columnar tensor of a type that JSON cannot carry.
    """
    if not data_types:
        raise BadInput(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    match "instances" in document, "inputs" in document:
        case True, True:
            raise BadInput(
                f"JSON Value: {quoted(document)} Not formatted correctly expecting only one of "
                "'inputs' or 'instances' keys to exist"
            )
        case True, False:
            return _rows(document, data_types), Format.ROW
        case False, True:
            return _columns(document["inputs"], data_types), Format.COLUMNAR
        case _:
            raise BadInput("Missing 'inputs' or 'instances' key")


def _columns(value: Any, data_types: Mapping[str, int]) -> Arrays:
    if not isinstance(value, dict) or is_base64(value):
        if len(data_types) > 1:
            raise BadInput(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        return {alias: array_of(value, data_type) for alias, data_type in data_types.items()}
    arrays = {}
    for alias, data_type in data_types.items():
        if alias not in value:
            raise BadInput(f"Missing named input: {alias} in 'inputs' object.")
        arrays[alias] = array_of(value[alias], data_type)
    return arrays


def _rows(document: Mapping[str, Any], data_types: Mapping[str, int]) -> Arrays:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise BadInput(f"JSON Value: {quoted(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise BadInput(f"JSON Value: {quoted(document)} No values in 'instances' array")
    if not _is_named(rows[0]) and len(data_types) > 1:
        raise BadInput(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map"
        )
    try:
        return _batch(rows, data_types)
    except Irregular:
        _complain(rows, data_types)
        raise BadInput("The rows of 'instances' do not form one tensor for each input") from None


def _batch(rows: Sequence[Any], data_types: Mapping[str, int]) -> Arrays:
    """All rows at once, a tensor for each input; Irregular if anything is wrong with any of them."""
    if not _is_named(rows[0]):
        return {alias: regular_array(rows, data_type) for alias, data_type in data_types.items()}
    if not all(_is_named(row) and row.keys() == data_types.keys() for row in rows):
        raise Irregular
    return {alias: regular_array([row[alias] for row in rows], data_type) for alias, data_type in data_types.items()}


def _is_named(row: object) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _complain(rows: Sequence[Any], data_types: Mapping[str, int]) -> None:
    """Raise what is wrong with the first bad row, in the order in which the text has its values."""
    named = _is_named(rows[0])
    first: Arrays = {}
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        if not first or _is_named(block[0]) != named or not _is_like(first, block, data_types):
            for index, row in enumerate(block, start):
                _complain_of_row(index, row, data_types, first, named)


def _is_like(first: Arrays, block: Sequence[Any], data_types: Mapping[str, int]) -> bool:
    try:
        batch = _batch(block, data_types)
    except Irregular:
        return False
    return all(array.shape[1:] == first[alias].shape for alias, array in batch.items())


def _complain_of_row(index: int, row: Any, data_types: Mapping[str, int], first: Arrays, named: bool) -> None:
    if _is_named(row) != named:
        expected = "object but got list" if named else "value/list but got object"
        raise BadInput(f"Expecting {expected} at item {index} of input list")
    for alias, value in row.items() if named else [(next(iter(data_types)), row)]:
        try:
            _check_item(alias, value, data_types, first)
        except ServingError as error:
            key = f" key: {alias}" if named else ""
            raise BadInput(
                f"Failed to process element: {index}{key} of 'instances' list. "
                f"Error: {error.code.name}: {error.message}"
            ) from None
    if named and row.keys() != data_types.keys():
        raise BadInput(
            f"Failed to process element: {index} of 'instances' list. JSON object: {quoted(row)} "
            f"keys must be equal to: {','.join(sorted(data_types))}"
        )


def _check_item(alias: str, value: Any, data_types: Mapping[str, int], first: Arrays) -> None:
    if alias not in data_types:
        raise BadInput(f"JSON object: does not have named input: {alias}")
    array = array_of(value, data_types[alias])
    wanted = first.setdefault(alias, array)
    if array.size != wanted.size:
        raise BadInput(f"Expecting tensor size: {wanted.size} but got: {array.size}")
    if array.shape != wanted.shape:
        raise BadInput(f"Expecting shape {_shape_text(wanted)} but got: {_shape_text(array)}")


def _shape_text(array: NDArray[Any]) -> str:
    return f"[{','.join(map(str, array.shape))}]"
