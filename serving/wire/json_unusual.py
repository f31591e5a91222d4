"""JSON that orjson refuses: what is right in it is read quickly all the same, what is wrong is found quickly.

Python's own decoder takes NaN, Infinity, text after the end and bytes that are not UTF-8; Inf, -Inf and -NaN are
first written as something of the same length that it takes. Where it stops, only the member in which it stopped is
read again by the exact parser of json_exact.py, for the error. What neither can do at speed (deep nesting, numbers
too big for a double) is read exactly, in texts up to a limit.
"""

import math
import re
from collections.abc import Sequence
from json import JSONDecodeError, JSONDecoder
from typing import Any

import numpy as np

from serving.errors import BadInput
from serving.wire.json_exact import Container, Reader, number

MOST_EXACT_BYTES = 2**20
"""Longest text that is read token by token in Python, which takes about a second then."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""Also one without an end: looked for anew at each of its escaped quotes, that would take square time."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_RARE = re.compile(r"-?Inf(?!inity)|-NaN")
_TOKEN = re.compile(_STRING.pattern + r"|(?<=[ \t\n\r,:\[])-?(?:Inf|NaN|0e[89])(?=[ \t\n\r,\]}])", re.DOTALL)
_STAND_INS = {"Inf": "0e9", "-Inf": "-0e9", "-NaN": "-0e8", "0e9": "0.0", "-0e9": "-0.0", "-0e8": "-0.0"}
"""No offset changes. A zero that is written as a stand-in gets another spelling."""

_MEANT = {"0e9": math.inf, "-0e9": -math.inf, "-0e8": math.nan}

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""A byte as surrogateescape keeps it."""

_UNUSUAL_NUMBER = re.compile(r"[0-9]{19}|[eE]\+?[0-9]{3}")
_STEPS = np.zeros(256, np.int8)
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1


def parse_unusual(body: bytes) -> Any:
    """The first JSON value in a text.

    Raises:
        BadInput: `JSON Parse error: <what> at offset: <bytes>`.
    """
    end = body.find(0)  # RapidJSON takes a zero byte for the end of the text
    body = body if end < 0 else body[:end]
    text = body.decode("utf-8", "surrogateescape")
    start = 1 if body.startswith(_BYTE_ORDER_MARK) else 0
    begin = _after_blanks(text, start)
    if text[begin : begin + 1] not in ("{", "["):
        return Reader(text, begin).read()  # one scalar, or nothing
    rare = _RARE.search(text) is not None
    plain = _TOKEN.sub(lambda found: _STAND_INS.get(found[0], found[0]), text) if rare else text
    decoder = _decoder(plain, stand_ins=rare)
    try:
        return decoder.raw_decode(_spoiled(plain), begin)[0]
    except JSONDecodeError as error:
        _complain(plain, error.pos, decoder)
        found = "something unusual"
    except RecursionError:
        found = "deep nesting"
    except OverflowError:
        found = "a number too big for a double"
    if len(body) > MOST_EXACT_BYTES:
        raise BadInput(
            f"JSON Parse error: {found} in a text of {len(body)} bytes; where there is such a thing, at most "
            f"{MOST_EXACT_BYTES} are read"
        )
    return Reader(text, start).read()


def _spoiled(text: str) -> str:
    """The text, but the first half of a surrogate pair that stands alone is an escape that Python refuses, too."""
    if not _SURROGATE.search(text):
        return text
    alone = _SURROGATE.search(_PAIR.sub("_" * 12, text.replace("\\\\", "__")))
    return text if alone is None else f"{text[: alone.start()]}\\x{text[alone.start() + 2 :]}"


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise OverflowError
    return value


def _finite_or_stand_in(digits: str) -> float:
    meant = _MEANT.get(digits)
    return _finite(digits) if meant is None else meant


def _whole(digits: str) -> int | float:
    value = number(digits)
    if math.isinf(value):
        raise OverflowError
    return value


def _named(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name.encode(errors="replace").decode(): value for name, value in members}  # as Reader does it


def _decoder(text: str, *, stand_ins: bool) -> JSONDecoder:
    """Python's, with as much of our own as the text needs: each piece makes it several times slower.

    By itself it keeps whole numbers of any length, takes 1e999, and keeps bytes that are not UTF-8 in names.
    """
    hooks: dict[str, Any] = {}
    if stand_ins or _UNUSUAL_NUMBER.search(text):
        hooks.update(parse_float=_finite_or_stand_in if stand_ins else _finite, parse_int=_whole)
    if not text.isascii() and _NOT_UTF8.search(text):
        hooks.update(object_pairs_hook=_named)
    return JSONDecoder(**hooks)


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANK.match(text, at)
    return at if blanks is None else blanks.end()


def _complain(text: str, stopped: int, decoder: JSONDecoder) -> None:
    """Raise what is wrong near the place where a quick parser stopped."""
    opener, resume_at = _innermost(text[:stopped])
    container: Container = [] if text[opener] == "[" else {}
    Reader(text, resume_at, decoder.raw_decode).resume(container)


def _innermost(text: str) -> tuple[int, int]:
    """Where the last container that is still open begins, and its last comma (or its beginning again)."""
    plain = _STRING.sub(lambda found: " " * len(found[0]), text)
    letters = np.frombuffer(plain.encode("latin-1", "replace"), np.uint8)
    steps = _STEPS[letters]
    depths = np.cumsum(steps, dtype=np.int32)
    here = depths == depths[-1]
    opener = int(np.flatnonzero(here & (steps == 1))[-1])
    commas = np.flatnonzero(here[opener:] & (letters[opener:] == ord(",")))
    return opener, opener + int(commas[-1]) if len(commas) else opener
