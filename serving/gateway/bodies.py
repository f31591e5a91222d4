"""What people send: raw pictures, multipart, plain text or JSON, all read into a list of items.

A picture is `bytes`, a text is `str`, a row of a table an object or a list of numbers. `routes.py` asks with
the model's card at hand, so that the wrong kind is refused with what would be right. Nothing is ever written
to a file.
"""

import base64
import binascii
import codecs
import encodings
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from encodings.aliases import aliases
from functools import lru_cache
from typing import Any

import orjson
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from serving.card import ImageInput, ModelCard, TableInput
from serving.errors import BadInput, TooMuchToProcess, UnsupportedKind
from serving.gateway.problems import BadItem

Item = bytes | str | dict[str, Any] | list[Any]
"""A picture, a text, or a row."""

PICTURES = ("image/jpeg", "image/png", "image/webp", "image/gif")
_RAW = frozenset({"application/octet-stream", "image/jpg", *PICTURES})
_PICTURE_HOW = (
    f"{', '.join(PICTURES)}, multipart/form-data with such files, "
    'or application/json {"instances": [{"b64": "..."}]}'
)
_CHARSETS = frozenset([*aliases, *(module.name for module in pkgutil.iter_modules(encodings.__path__))])
"""All that Python knows, as it spells them. It is asked for no others: it would keep each for ever."""
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
"""Codecs of Python that are no charsets of texts; punycode would take hours over a body of the largest size."""
_MOST_HEAD_BYTES = 16384
_MOST_MARKS = 65536
"""Lists, objects and keys in one JSON; millions of them take hundreds of MB and seconds in which nothing else runs."""
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_ROW_HOW = 'application/json {"instances": [{"column": number, ...}]}'
_TEXT_HOW = 'text/plain, multipart/form-data with texts, or application/json {"instances": ["..."]}'


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent, opened."""

    kind: str
    """raw, multipart, json or text."""
    items: list[Item]


def read_body(data: bytes, content_type: str, encoding: str, card: ModelCard, max_items: int) -> Body:
    """Open a body as its Content-Type says.

    Raises:
        UnsupportedKind: a type that is not taken, or not by this model.
        BadInput: not what its type says.
        TooMuchToProcess: no item, or more than `max_items`.
        BadItem: one item of several is of the wrong kind or damaged.
    """
    if encoding not in {"", "identity"}:
        raise UnsupportedKind(f"Content-Encoding {encoding[:40]!r} is not taken; send the body as it is")
    kind, options = _content_type(content_type)
    body = _open(data, kind.lower(), options, card, max_items)
    if not body.items:
        raise TooMuchToProcess(f"there is nothing to classify in the body; {accepted(card)}")
    if len(body.items) > max_items:
        raise TooMuchToProcess(f"{len(body.items)} items in one request, at most {max_items} are taken; send several")
    _hold_to(body, card)
    return body


@lru_cache(maxsize=64)
def _content_type(header: str) -> tuple[str, Mapping[str, str]]:
    """Type and parameters; nearly every request says one of the same few."""
    return parse_options_header(header)


def accepted(card: ModelCard) -> str:
    """What a model takes, as the end of a sentence."""
    if isinstance(card.input, ImageInput):
        return f"the model {card.name} takes pictures: {_PICTURE_HOW}"
    if isinstance(card.input, TableInput):
        names = ", ".join(column.name for column in card.input.columns[:12])
        return f"the model {card.name} takes rows: {_ROW_HOW}; its columns are {names}"
    return f"the model {card.name} takes texts: {_TEXT_HOW}"


def _open(data: bytes, kind: str, options: Mapping[str, str], card: ModelCard, max_items: int) -> Body:
    if kind == "application/json" or kind.endswith("+json"):
        return Body("json", _instances(data, card))
    if kind == "multipart/form-data":
        return Body("multipart", list(_parts(data, options, max_items)))
    if kind == "text/plain":
        return Body("text", [_text(data, options.get("charset", "utf-8"))])
    if kind in _RAW or (not kind and isinstance(card.input, ImageInput)):
        return Body("raw", [data] if data else [])
    given = f"Content-Type {kind[:60]!r}" if kind else "a body without Content-Type"
    hint = "; with curl add -H 'Content-Type: image/jpeg'" if kind == "application/x-www-form-urlencoded" else ""
    raise UnsupportedKind(f"{given} is not taken{hint}; {accepted(card)}")


def _hold_to(body: Body, card: ModelCard) -> None:
    """Refuse texts for a picture model and the reverse; rows only come out of JSON, which looked at the card."""
    if isinstance(card.input, TableInput) and body.kind == "json":
        return
    wanted = {"image": bytes, "text": str, "table": dict}[card.input.kind]
    for index, item in enumerate(body.items):
        if not isinstance(item, wanted):
            error = UnsupportedKind(f"this is {'a text' if isinstance(item, str) else 'a picture'}; {accepted(card)}")
            raise BadItem(error, index) if len(body.items) > 1 else error


def _text(data: bytes, charset: str) -> str:
    try:
        return data.decode(_codec(charset))
    except LookupError:
        raise UnsupportedKind(f"the charset {charset[:40]!r} is not known; send UTF-8") from None
    except (UnicodeDecodeError, ValueError):
        raise BadInput(f"the text is not {charset[:40]}; send UTF-8") from None


@lru_cache(maxsize=64)
def _codec(charset: str) -> str:
    """Python's name for a charset; LookupError for what is none."""
    name = encodings.normalize_encoding(charset[:100].lower())
    if name not in _CHARSETS or (found := codecs.lookup(name).name) in _NO_CHARSETS:
        raise LookupError(charset)
    return found


def _instances(data: bytes, card: ModelCard) -> list[Item]:
    if len(data) > _MOST_MARKS and sum(map(data.count, (b"[", b"{", b":"))) > _MOST_MARKS:
        raise TooMuchToProcess(f"the JSON has more than {_MOST_MARKS} lists, objects and keys; send several requests")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error}") from None
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        raise BadInput(f'the JSON must be an object with a list "instances"; {accepted(card)}')
    items, open_one = [], _row if isinstance(card.input, TableInput) else _instance
    for index, instance in enumerate(instances):
        try:
            items.append(open_one(instance))
        except BadInput as error:
            raise BadItem(error, index) from None
    return items


def _instance(instance: Any) -> Item:
    """A string is a text, {"b64": ...} a picture, {"text": ...} a text."""
    match instance:
        case str():
            return instance
        case {"text": str(text)}:
            return text
        case {"b64": str(coded)}:
            try:
                return base64.b64decode(coded, validate=True)
            except (binascii.Error, ValueError):
                raise BadInput("b64 is not base64 of the standard alphabet, with its padding") from None
    raise BadInput('an instance must be a text or {"b64": "<base64 of a picture>"}')


def _row(instance: Any) -> Item:
    if not isinstance(instance, dict | list):
        raise BadInput('an instance must be a row: {"column": number, ...} or a list of numbers')
    return instance


def _parts(data: bytes, options: Mapping[str, str], most: int) -> Iterator[Item]:
    """The files of a form in their order; fields are taken as texts."""
    if not (boundary := options.get("boundary")):
        raise BadInput("multipart/form-data without a boundary in its Content-Type")
    try:
        between = boundary.encode("latin-1")
        _hold_heads(data, between, most)
        yield from _decoded(MultipartDecoder(between, max_parts=most), data)
    except RequestEntityTooLarge:
        raise TooMuchToProcess(
            f"more than {most} items in one form, the most taken in one request; send several"
        ) from None
    except ValueError:
        raise BadInput("the multipart form is damaged or cut short") from None


def _hold_heads(data: bytes, boundary: bytes, most: int) -> None:
    """Refuse what would take seconds to read: a long head of a part, or much before the first."""
    preamble, *parts = (b"\n" + data).split(b"\n--" + boundary, most + 1)
    if len(preamble) > _MOST_HEAD_BYTES:
        raise BadInput("the multipart form does not begin with the boundary that its Content-Type names")
    for part in parts:
        if len(part) > _MOST_HEAD_BYTES and not _BLANK_LINE.search(part, 0, _MOST_HEAD_BYTES):
            raise BadInput(f"a part of the form has headers of more than {_MOST_HEAD_BYTES} bytes; send shorter names")


def _decoded(decoder: MultipartDecoder, data: bytes) -> Iterator[Item]:
    decoder.receive_data(data)
    decoder.receive_data(None)
    chunks: list[bytes] = []
    is_text, charset = False, "utf-8"
    while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
        match event:
            case File() | Field():
                is_text, charset = _part_kind(event.headers, isinstance(event, Field))
            case Data():
                chunks.append(event.data)
                if not event.more_data:
                    yield _text(b"".join(chunks), charset) if is_text else b"".join(chunks)
                    chunks.clear()


def _part_kind(headers: Headers, is_field: bool) -> tuple[bool, str]:
    """Whether a part is a text, and in which charset."""
    kind, options = parse_options_header(headers.get("content-type", "text/plain" if is_field else ""))
    return kind.startswith("text/"), options.get("charset", "utf-8")
