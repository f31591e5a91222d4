"""Headers of requests out of HPACK, and of answers into it.

hpack, the library of python-hyper, decodes. A caller that repeats itself sends the same few bytes for the
same headers, as long as neither side's table changes, so what they decoded to is remembered until it does.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from serving.modelserver.http2.frames import ConnectionFault, ErrorCode, Malformed, TooLarge

Headers = Mapping[bytes, bytes]
"""Names in lower case; values of a name that comes more than once are joined by commas."""

MOST_HEADER_BYTES = 16_384
"""Of a request, as HPACK counts them; gRPC's servers take as many."""
_MOST_DECODED_BYTES = 8 * MOST_HEADER_BYTES
"""More than a request may have is decoded all the same, so that only that one request is refused."""

_ENTRY_BYTES = 32
"""What HPACK counts for an entry beside its name and value."""
_MOST_REMEMBERED = 8
_LARGEST_REMEMBERED = 2048
"""Bytes of the headers, as HPACK counts them, so that thousands of connections do not remember too much."""
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_ILLEGAL_VALUE = re.compile(rb"[\0\r\n]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_TABLE_SIZE_UPDATE = range(0x20, 0x40)
_TOO_MANY_UPDATES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}")
"""Two at the most mean anything (RFC 7541, section 4.2), and each costs as much as a header."""
_OF_THE_CONNECTION = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))


class _Table(HeaderTable):
    """HPACK's dynamic table, which tells when it changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        """Put one in front."""
        self.changes += 1
        super().add(name, value)


class HeaderReader:
    """The decoding side of one connection."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=_MOST_DECODED_BYTES)
        self._table = self._decoder.header_table = _Table()
        self._known: dict[bytes, Headers] = {}
        self._known_at = 0

    def read(self, block: bytes) -> Headers:
        """The headers of a request.

        Raises:
            ConnectionFault: no HPACK, or far too much, so that nothing on this connection can be read any more.
            Malformed: well encoded, and no request.
            TooLarge: a request may have less.
        """
        if self._known_at == self._table.changes and (known := self._known.get(block)) is not None:
            return known
        found = self.decode(block)
        size = sum(len(name) + len(value) + _ENTRY_BYTES for name, value in found)
        if size > MOST_HEADER_BYTES:
            raise TooLarge(f"Metadata may take {MOST_HEADER_BYTES} bytes, not {size}; send less")
        headers = _checked(found)
        if self._known_at != self._table.changes or len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
            self._known_at = self._table.changes
        elif max(size, len(block)) <= _LARGEST_REMEMBERED:
            self._known[block] = headers
        return headers

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Any header block, trailers too: the table has to follow all of them."""
        if block and block[0] in _TABLE_SIZE_UPDATE:
            self._table.changes += 1
            if _TOO_MANY_UPDATES.match(block):
                raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "the size of HPACK's table changes too often")
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            message = f"headers may take {MOST_HEADER_BYTES} bytes, not {_MOST_DECODED_BYTES} and more"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, message) from error
        except HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "headers cannot be decoded") from error


def _checked(found: list[tuple[bytes, bytes]]) -> Headers:
    """As a mapping, if it is a request at all.

    Source: RFC 9113, section 8.2 and 8.3.
    """
    headers: dict[bytes, bytes] = {}
    ordinary = False
    for name, value in found:
        if name.startswith(b":"):
            if ordinary or name in headers or name not in (b":method", b":scheme", b":path", b":authority"):
                raise Malformed(f"misplaced or unknown pseudo-header {name[:32]!r}")
        else:
            ordinary = True
            if not _may_be_sent(name):
                raise Malformed(f"the header {name[:32]!r} may not be sent over HTTP/2")
        headers[name] = headers[name] + b"," + value if name in headers else value
    if _ILLEGAL_VALUE.search(b"".join(headers.values())):
        raise Malformed("a header has a line break or a zero byte")
    if headers.get(b"te", b"trailers") != b"trailers" or not _LENGTH.fullmatch(headers.get(b"content-length", b"0")):
        raise Malformed("te can only be trailers, and content-length only a number")
    if not headers.get(b":method") or not headers.get(b":path") or b":scheme" not in headers:
        raise Malformed("a request needs :method, :scheme and :path")
    return headers


@lru_cache(256)
def _may_be_sent(name: bytes) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _OF_THE_CONNECTION


def block(headers: Mapping[bytes, bytes]) -> bytes:
    """A header block that changes no table: literals without indexing, :status 200 by its number.

    Source: RFC 7541, sections 5.1, 6.1, 6.2.2.
    """
    return b"".join(
        b"\x88" if (name, value) == (b":status", b"200") else b"\x00" + _text(name) + _text(value)
        for name, value in headers.items()
    )


def _text(value: bytes) -> bytes:
    return _whole_number(len(value)) + value


def _whole_number(value: int) -> bytes:
    """With a prefix of seven bits."""
    if value < 127:
        return bytes((value,))
    digits = bytearray((127,))
    value -= 127
    while value >= 128:
        digits.append(value % 128 | 128)
        value //= 128
    digits.append(value)
    return bytes(digits)
