r"""A parser written out token by token, so that every error has RapidJSON's words and place.

json_unusual.py comes here with the part of a text in which something is wrong, or with a whole small
text that no quick parser takes, such as one that is nested deeply. Slow: 1 s a megabyte.

Source: rapidjson/reader.h with kParseNanAndInfFlag, kParseIterativeFlag and kParseStopWhenDoneFlag.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from serving.errors import BadInput

_BLANK = re.compile(r"[ \t\n\r]*")
_PLAIN_STRING = re.compile(r'"([^"\\\x00-\x1f]*)"')
_PLAIN_PART = re.compile(r'[^"\\\x00-\x1f]*')
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DIGITS = re.compile(r"[0-9]+")
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: dict[str, tuple[str, Any]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}

Container = list[Any] | dict[str, Any]
Shortcut = Callable[[str, int], tuple[Any, int]]
"""Reads a whole container from a place on and says where it ends; ValueError if it cannot."""


def number(digits: str) -> int | float:
    """A whole number as RapidJSON keeps it: exact within 64 bits, else a double; infinite if beyond that too."""
    if len(digits) <= 20 and -(2**63) <= (whole := int(digits)) < 2**64:
        return whole
    return float(digits)


class Reader:
    """A text and how far it has been read. Open containers lie on a list, not on the call stack."""

    def __init__(self, text: str, at: int = 0, shortcut: Shortcut | None = None) -> None:
        """Args: text: without bytes of zero. at: where to start. shortcut: for containers known to be right."""
        self.text = text
        self.at = at
        self.shortcut = shortcut
        self.names: list[str] = []
        """Of the members under way, outermost first."""

    def read(self) -> Any:
        """The one value of the text; what follows it is not looked at."""
        if self._peek() in ("", ",", ":", "]", "}"):
            raise self._error("The document is empty.")
        return self._finish([])

    def resume(self, container: Container) -> Any:
        """The rest of a container, from the bracket that opens it or a comma between its members on."""
        opened = self.text[self.at] in "[{"
        if opened:
            self.at += 1
        if self._enter(container) if opened else self._has_more(container):
            return self._finish([container])
        return container

    def _finish(self, unfinished: list[Container]) -> Any:
        """Read a value and then all that is needed to close the containers that it stands in."""
        while True:
            value, is_open = self._begin()
            if is_open and self._enter(value):
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
        before = self.text[: self.at if offset is None else offset]
        return BadInput(f"JSON Parse error: {what} at offset: {len(before.encode('utf-8', 'surrogateescape'))}")

    def _peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        self.at = _end(_BLANK, self.text, self.at)
        return self.text[self.at : self.at + 1]

    def _begin(self) -> tuple[Any, bool]:
        """A whole value, or a container of which only the bracket has been read, and whether it is that."""
        match self._peek():
            case '"':
                return self._string(), False
            case "{" | "[" as bracket:
                return self._container(bracket)
            case "t" | "f" | "n" as first:
                word, value = _LITERALS[first]
                self._word(word)
                return value, False
            case _:
                return self._number(), False

    def _container(self, bracket: str) -> tuple[Container, bool]:
        if self.shortcut:
            try:
                value, self.at = self.shortcut(self.text, self.at)
            except (ValueError, RecursionError, OverflowError):
                self.shortcut = None  # this is where it is wrong; trying again within would take square time
            else:
                return value, False
        self.at += 1
        return ([] if bracket == "[" else {}), True

    def _enter(self, container: Container) -> bool:
        """Step into a container just opened, up to its first value; False if it is empty and closed."""
        if self._peek() == ("]" if isinstance(container, list) else "}"):
            self.at += 1
            return False
        if isinstance(container, dict):
            self._name()
        return True

    def _has_more(self, container: Container) -> bool:
        """Step over the comma to the next value, or over the closing bracket."""
        following, close = self._peek(), "]" if isinstance(container, list) else "}"
        if following not in (",", close):
            raise self._error(
                "Missing a comma or ] after an array element."
                if close == "]"
                else "Missing a comma or } after an object member."
            )
        self.at += 1
        if following == "," and isinstance(container, dict):
            self._name()
        return following == ","

    def _name(self) -> None:
        if self._peek() != '"':
            raise self._error("Missing a name for object member.")
        self.names.append(self._string().encode(errors="replace").decode())  # bytes that are no UTF-8 are no name
        if self._peek() != ":":
            raise self._error("Missing a colon after a name of object member.")
        self.at += 1

    def _word(self, word: str, *, or_just: int = 0) -> int:
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
        value = float(digits) if fraction else number(digits)
        if math.isinf(value):
            raise self._error("Number too big to be stored in double.", start)
        return value

    def _fraction_or_exponent(self) -> bool:
        start = self.at
        if self.text[self.at : self.at + 1] == ".":
            self._digits_after(1, "Miss fraction part in number.")
        if self.text[self.at : self.at + 1] in ("e", "E"):
            signed = self.text[self.at + 1 : self.at + 2] in ("+", "-")
            self._digits_after(1 + signed, "Miss exponent in number.")
        return self.at > start

    def _digits_after(self, skipped: int, otherwise: str) -> None:
        digits = _DIGITS.match(self.text, self.at + skipped)
        if digits is None:
            raise self._error(otherwise, self.at + skipped)
        self.at = digits.end()

    def _not_finite(self) -> float:
        negative = self.text[self.at : self.at + 1] == "-"
        self.at += negative
        match self.text[self.at : self.at + 1]:
            case "N":
                self._word("NaN")
                return math.nan
            case "I":
                self._word("Infinity", or_just=3)
                return -math.inf if negative else math.inf
            case _:
                raise self._error("Invalid value.")

    def _string(self) -> str:
        plain = _PLAIN_STRING.match(self.text, self.at)
        if plain:
            self.at = plain.end()
            return plain[1]
        self.at += 1
        parts = []
        while True:
            start = self.at
            self.at = _end(_PLAIN_PART, self.text, start)
            parts.append(self.text[start : self.at])
            match self.text[self.at : self.at + 1]:
                case '"':
                    self.at += 1
                    return "".join(parts)
                case "\\":
                    parts.append(self._escape())
                case "":
                    raise self._error("Missing a closing quotation mark in string.")
                case _:
                    raise self._error("Invalid encoding in string.")

    def _escape(self) -> str:
        start, letter = self.at, self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != "u":
            raise self._error("Invalid escape character in string.", start)
        point = self._hex(start)
        if 0xD800 <= point <= 0xDFFF:
            low = 0
            if point <= 0xDBFF and self.text[self.at : self.at + 2] == "\\u":
                self.at += 2
                low = self._hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise self._error("The surrogate pair in string is invalid.", start)
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
        return chr(point)

    def _hex(self, escape_start: int) -> int:
        digits = _HEX.match(self.text, self.at)
        if digits is None:
            raise self._error("Incorrect hex digit after \\u escape in string.", escape_start)
        self.at = digits.end()
        return int(digits[0], 16)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that may match nothing stops."""
    found = pattern.match(text, at)
    return at if found is None else found.end()
