"""From the text of a REST request to Python values, and short quotations of those for error texts.

Ordinary JSON is read by orjson. What that refuses goes to json_unusual.py, which knows the extra tokens,
deep nesting and every error in RapidJSON's words.
Of a name that stands twice in one object the last one counts.
"""

from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any

import orjson

from serving.errors import BadInput
from serving.wire.json_numbers import double_text
from serving.wire.json_unusual import parse_unusual

MOST_QUOTED = 256
"""Characters of a JSON value that an error text repeats."""

_TYPE_NAMES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> dict[str, Any]:
    """The object that a request's body holds.

    int and float tell numbers written without and with a fraction or exponent apart; whole numbers
    beyond 64 bits are floats. Strings may hold surrogate escapes where the text is not UTF-8.

    Raises:
        BadInput: with TensorFlow Serving's words and RapidJSON's offsets, in bytes.
    """
    if not body:
        raise BadInput("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = parse_unusual(bytes(body))
    if not isinstance(document, dict):
        raise BadInput(f"JSON Value: {quoted(document)} Is not object")
    return document


def quoted(value: object) -> str:
    """A value as JSON for an error text, cut after MOST_QUOTED characters."""
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > MOST_QUOTED:
            text = text[:MOST_QUOTED] + "..."
            break
    return text.encode(errors="replace").decode()


def type_name(value: object) -> str:
    """RapidJSON's name of a value's type: Null, False, True, Object, Array, String or Number."""
    return str(value) if isinstance(value, bool) else _TYPE_NAMES[type(value)]


def _pieces(value: object) -> Iterator[str]:
    """Lazy, so that neither the size nor the depth of what is quoted matters to the one who stops early."""
    match value:
        case None | True | False:
            yield {None: "null", True: "true", False: "false"}[value]
        case float():
            yield double_text(value)
        case str():
            yield encode_basestring(value[: MOST_QUOTED + 1])
        case list():
            yield "["
            for index, element in enumerate(value):
                yield ", " if index else ""
                yield from _pieces(element)
            yield "]"
        case dict():
            yield "{"
            for index, (name, element) in enumerate(value.items()):
                yield (", " if index else "") + encode_basestring(name[: MOST_QUOTED + 1]) + ": "
                yield from _pieces(element)
            yield "}"
        case _:
            yield str(value)
