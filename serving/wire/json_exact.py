r"""The parser for JSON that is unusual or wrong: every token and every error as RapidJSON has them.

json_text.py comes here only with what a fast parser refused: NaN, Infinity, Inf and their negatives,
text after the closing brace (ignored), a byte order mark, nesting deeper than a recursive parser likes,
strings that are not UTF-8, and errors. Runs of plain numbers still go through C.

Source: rapidjson/reader.h with kParseNanAndInfFlag, kParseIterativeFlag and kParseStopWhenDoneFlag.
"""

import json
import math
import re
from typing import Any

from serving.errors import BadInput

_BLANK = re.compile(rb"[ \t\n\r]*")
_PLAIN_STRING = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_PLAIN_PART = re.compile(rb'[^"\\\x00-\x1f]*')
_WHOLE = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_DIGITS = re.compile(rb"[0-9]+")
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_NUMBER_LIST = re.compile(rb"\[[-+0-9.eE,NaIinfty \t\n\r]*\]")
_UNUSUAL_NUMBER = re.compile(rb"[0-9]{19}|[eE]\+?[0-9]{3}")
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LITERALS: dict[bytes, tuple[bytes, Any]] = {
    b"t": (b"true", True),
    b"f": (b"false", False),
    b"n": (b"null", None),
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_exactly(body: bytes) -> Any:
    """The first JSON value in a text.

    Raises:
        BadInput: `JSON Parse error: <what> at offset: <bytes>`.
    """
    end = body.find(0)  # RapidJSON takes a zero byte for the end of the text
    return _Reader(body if end < 0 else body[:end]).read()


class _Reader:
    """A text and how far it has been read. Open containers lie on a list, not on the call stack."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0
        self.names: list[str] = []
        """Of the members under way, outermost first."""

    def read(self) -> Any:
        if self._peek() in (b"", b",", b":", b"]", b"}"):
            raise self._error("The document is empty.")
        unfinished: list[list[Any] | dict[str, Any]] = []
        while True:
            value = self._begin()
            if self.text[self.at - 1] in b"[{" and isinstance(value, list | dict) and self._enter(value):
                unfinished.append(value)
                continue
            while unfinished:
                parent = unfinished[-1]
                if isinstance(parent, list):
                    parent.append(value)
                else:
                    parent[self.names.pop()] = value
                if self._has_more(parent):
                    break
                value = unfinished.pop()
            else:
                return value

    def _error(self, what: str, offset: int | None = None) -> BadInput:
        return BadInput(f"JSON Parse error: {what} at offset: {self.at if offset is None else offset}")

    def _peek(self) -> bytes:
        """The next byte that is not blank; empty at the end."""
        self.at = _end(_BLANK, self.text, self.at)
        return self.text[self.at : self.at + 1]

    def _begin(self) -> Any:
        """A whole scalar or list of numbers, or a container of which only the bracket has been read."""
        match self._peek():
            case b'"':
                return self._string().decode("utf-8", "surrogateescape")
            case b"{":
                self.at += 1
                return {}
            case b"[":
                return self._number_list()
            case b"t" | b"f" | b"n" as first:
                word, value = _LITERALS[first]
                self._word(word)
                return value
            case _:
                return self._number()

    def _enter(self, container: list[Any] | dict[str, Any]) -> bool:
        """Step into a container just opened, up to its first value; False if it is empty and closed."""
        if self._peek() == (b"]" if isinstance(container, list) else b"}"):
            self.at += 1
            return False
        if isinstance(container, dict):
            self._name()
        return True

    def _has_more(self, container: list[Any] | dict[str, Any]) -> bool:
        """Step over the comma to the next value, or over the closing bracket."""
        following, close = self._peek(), b"]" if isinstance(container, list) else b"}"
        if following not in (b",", close):
            raise self._error(
                "Missing a comma or ] after an array element."
                if close == b"]"
                else "Missing a comma or } after an object member."
            )
        self.at += 1
        if following == b"," and isinstance(container, dict):
            self._name()
        return following == b","

    def _name(self) -> None:
        if self._peek() != b'"':
            raise self._error("Missing a name for object member.")
        self.names.append(self._string().decode("utf-8", "replace"))
        if self._peek() != b":":
            raise self._error("Missing a colon after a name of object member.")
        self.at += 1

    def _number_list(self) -> list[Any]:
        found = _NUMBER_LIST.match(self.text, self.at)
        if found and not _UNUSUAL_NUMBER.search(found[0]):
            try:
                numbers: list[Any] = json.loads(found[0])
            except ValueError:
                pass  # read it number by number, to find out where it is wrong
            else:
                self.at = found.end()
                return numbers
        self.at += 1
        return []

    def _word(self, word: bytes, *, or_just: int = 0) -> int:
        """Step over a word, or over only `or_just` bytes of it if the rest does not follow at all."""
        rest = self.text[self.at : self.at + len(word)]
        same = next((n for n, (want, have) in enumerate(zip(word, rest, strict=False)) if want != have), len(rest))
        self.at += same
        if same not in (len(word), or_just or len(word)):
            raise self._error("Invalid value.")
        return same

    def _number(self) -> float:
        start = self.at
        whole = _WHOLE.match(self.text, start)
        if whole is None:
            return self._not_finite()
        self.at = whole.end()
        fraction = self._fraction_or_exponent()
        digits = self.text[start : self.at]
        if not fraction and len(digits) <= 20 and -(2**63) <= int(digits) < 2**64:
            return int(digits)
        number = float(digits)
        if math.isinf(number):
            raise self._error("Number too big to be stored in double.", start)
        return number

    def _fraction_or_exponent(self) -> bool:
        start = self.at
        if self.text[self.at : self.at + 1] == b".":
            self._digits_after(1, "Miss fraction part in number.")
        if self.text[self.at : self.at + 1] in (b"e", b"E"):
            signed = self.text[self.at + 1 : self.at + 2] in (b"+", b"-")
            self._digits_after(1 + signed, "Miss exponent in number.")
        return self.at > start

    def _digits_after(self, skipped: int, otherwise: str) -> None:
        digits = _DIGITS.match(self.text, self.at + skipped)
        if digits is None:
            raise self._error(otherwise, self.at + skipped)
        self.at = digits.end()

    def _not_finite(self) -> float:
        negative = self.text[self.at : self.at + 1] == b"-"
        self.at += negative
        match self.text[self.at : self.at + 1]:
            case b"N":
                self._word(b"NaN")
                return math.nan
            case b"I":
                self._word(b"Infinity", or_just=3)
                return -math.inf if negative else math.inf
            case _:
                raise self._error("Invalid value.")

    def _string(self) -> bytes:
        plain = _PLAIN_STRING.match(self.text, self.at)
        if plain:
            self.at = plain.end()
            return plain[1]
        self.at += 1
        content = bytearray()
        while True:
            start = self.at
            self.at = _end(_PLAIN_PART, self.text, start)
            content += self.text[start : self.at]
            match self.text[self.at : self.at + 1]:
                case b'"':
                    self.at += 1
                    return bytes(content)
                case b"\\":
                    content += self._escape()
                case b"":
                    raise self._error("Missing a closing quotation mark in string.")
                case _:
                    raise self._error("Invalid encoding in string.")

    def _escape(self) -> bytes:
        start, letter = self.at, self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != b"u":
            raise self._error("Invalid escape character in string.", start)
        point = self._hex(start)
        if 0xD800 <= point <= 0xDFFF:
            low = 0
            if point <= 0xDBFF and self.text[self.at : self.at + 2] == b"\\u":
                self.at += 2
                low = self._hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise self._error("The surrogate pair in string is invalid.", start)
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
        return chr(point).encode()

    def _hex(self, escape_start: int) -> int:
        digits = _HEX.match(self.text, self.at)
        if digits is None:
            raise self._error("Incorrect hex digit after \\u escape in string.", escape_start)
        self.at = digits.end()
        return int(digits[0], 16)


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """Where a pattern that may match nothing stops."""
    found = pattern.match(text, at)
    return at if found is None else found.end()
