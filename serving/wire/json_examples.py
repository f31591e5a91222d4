"""From a parsed classify or regress request to tf.Examples.

A whole number makes an int64 feature and fails against a float one in the graph: callers write 2.0.
"""

from collections.abc import Mapping
from typing import Any

from serving.errors import BadInput
from serving.wire.json_text import quoted, type_name
from serving.wire.json_values import decode_base64, is_base64
from serving.wire.protos import Example, Feature, Input

_LISTS = {"int64": "int64_list", "float": "float_list", "bytes": "bytes_list"}


def examples(document: Mapping[str, Any]) -> Input:
    """The examples of a request, with the context if it has one.

    Raises:
        BadInput: with the texts of TensorFlow Serving.
    """
    message = Input()
    with_context = "context" in document
    if with_context:
        _fill(message.example_list_with_context.context, document["context"])
    if "examples" not in document:
        raise _wrong(document, "When method is classify, key 'examples' is expected and was not found")
    rows = document["examples"]
    if not isinstance(rows, list):
        raise _wrong(document, "Expecting 'examples' value to be an list/array")
    if not rows:
        raise _wrong(document, "'examples' value is an empty array")
    target = message.example_list_with_context if with_context else message.example_list
    for row in rows:
        _fill(target.examples.add(), row)
    return message


def _wrong(document: Mapping[str, Any], what: str) -> BadInput:
    return BadInput(f"JSON Value: {quoted(document)} {what}")


def _fill(example: Example, row: object) -> None:
    if not isinstance(row, dict):
        raise BadInput(f"Example must be JSON object but got JSON {type_name(row)}")
    for name, content in row.items():
        _fill_feature(example.features.feature[name], name, content if isinstance(content, list) else [content])


def _fill_feature(feature: Feature, name: str, contents: list[Any]) -> None:
    kind, values = "", []
    for content in contents:
        its_kind, value = _element(name, content)
        if its_kind != (kind := kind or its_kind):
            raise BadInput(f"Unexpected element type in feature: {name} expecting type: {kind}")
        if kind == "int64" and value >= 2**63:
            raise BadInput(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        values.append(value)
    if kind:
        getattr(feature, _LISTS[kind]).value.extend(values)


def _element(name: str, content: object) -> tuple[str, Any]:
    match content:
        case bool() | int():
            return "int64", int(content)
        case float():
            return "float", content
        case str():
            return "bytes", content.encode("utf-8", "surrogateescape")
        case dict() if is_base64(content):
            return "bytes", decode_base64(content["b64"])
        case _:
            raise BadInput(f"Feature: {name} has element with unexpected JSON type: {type_name(content)}")
