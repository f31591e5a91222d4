"""JSON that orjson refuses: what is right in it is read quickly all the same, what is wrong is found quickly.

Python's own decoder takes NaN, Infinity and text after the end; where it stops, only the member in which
it stopped is read again by the exact parser of json_exact.py, for the error. What neither can do at
speed (deep nesting, Inf, -NaN, bytes that are not UTF-8) is read exactly, in texts up to a limit.
"""

import math
import re
from json import JSONDecodeError, JSONDecoder
from typing import Any

import numpy as np

from serving.errors import BadInput
from serving.wire.json_exact import Container, Reader, number

MOST_EXACT_BYTES = 2**20
"""Longest text that is read token by token in Python, which takes about a second then."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ONLY_EXACT = re.compile(r"-?Inf(?!inity)|-NaN")
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
    start = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _exactly(body, start)
    if _SURROGATE.search(text):  # Python takes one half of a pair, too
        return _exactly(body, start)
    begin, decoder = _after_blanks(text, 1 if start else 0), _decoder(text)
    if text[begin : begin + 1] not in ("{", "["):
        return Reader(text, begin).read()  # one scalar, or nothing
    try:
        return decoder.raw_decode(text, begin)[0]
    except JSONDecodeError as error:
        if not _ONLY_EXACT.match(text, error.pos):
            _complain(text, error.pos, decoder)
    except (RecursionError, OverflowError):
        pass
    return _exactly(body, start)


def _exactly(body: bytes, start: int) -> Any:
    if len(body) > MOST_EXACT_BYTES:
        raise BadInput(
            f"JSON Parse error: of {len(body)} bytes; more than {MOST_EXACT_BYTES} are only read if they are UTF-8, "
            "not nested deeply, and without Inf, -NaN and numbers too big for a double"
        )
    return Reader(body.decode("utf-8", "surrogateescape"), start and 1).read()


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise OverflowError
    return value


def _whole(digits: str) -> int | float:
    value = number(digits)
    if math.isinf(value):
        raise OverflowError
    return value


_CAREFUL = JSONDecoder(parse_float=_finite, parse_int=_whole)
_QUICK = JSONDecoder()


def _decoder(text: str) -> JSONDecoder:
    """Python keeps whole numbers of any length, and takes 1e999; looking after that costs five times as much."""
    return _CAREFUL if _UNUSUAL_NUMBER.search(text) else _QUICK


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
    plain = _STRING.sub(lambda found: " " * len(found[0]), text).partition('"')[0]
    letters = np.frombuffer(plain.encode("latin-1", "replace"), np.uint8)
    steps = _STEPS[letters]
    depths = np.cumsum(steps, dtype=np.int32)
    here = depths == depths[-1]
    opener = int(np.flatnonzero(here & (steps == 1))[-1])
    commas = np.flatnonzero(here[opener:] & (letters[opener:] == ord(",")))
    return opener, opener + int(commas[-1]) if len(commas) else opener
