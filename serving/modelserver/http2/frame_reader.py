"""Bytes cut into frames, whatever pieces they come in; data is passed on as it comes, all other frames whole."""

import time
from typing import Protocol

from serving.modelserver.http2 import frames
from serving.modelserver.http2.frames import ConnectionFault, ErrorCode
from serving.modelserver.http2.header_blocks import MOST_HEADER_BYTES

MOST_DATA_FRAME = 1 << 20
"""So that a tensor comes in one piece."""
MOST_OTHER_FRAME = 8 * MOST_HEADER_BYTES
"""More headers than a request may have are read all the same, so that only that one request is refused."""


class Rules(Protocol):
    """Who takes the frames; each method may raise ConnectionFault."""

    def frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Any frame but DATA."""

    def data_begins(self, number: int, flags: int, length: int) -> None:
        """A frame of DATA of this length, padding included, whose bytes follow."""

    def data(self, part: memoryview) -> None:
        """Some of them; the memory is good only until this returns."""

    def data_ends(self) -> None:
        """All of them have come."""


class FrameReader:
    """What has come of a frame that is not complete."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._partial, self._needed = bytearray(), len(frames.PREFACE)
        self._since = 0.0
        """When it began."""
        self.greeted = False
        """Whether the caller speaks HTTP/2."""
        self.data_left = self._padding_left = 0
        """Bytes of data, and of padding, that are yet to come of a frame of data."""
        self.count = 0
        """Frames that have begun."""

    def receive(self, view: memoryview) -> None:
        """Take what has come; its memory is good only until this returns.

        Raises:
            ConnectionFault: the connection cannot go on.
        """
        if was_partial := bool(self._partial):
            self._partial += view
            if len(self._partial) < self._needed and self.greeted:
                return
            view = memoryview(bytes(self._partial))
            self._partial = bytearray()
        place, end = 0 if self.greeted else self._greet(view), len(view)
        while place < end and self.greeted:
            if self.data_left or self._padding_left:
                place += self._data(view[place:])
            elif taken := self._frame(view, place, end - place):
                place += taken
            else:
                break
        if place < end:
            if place or not was_partial:
                self._since = time.monotonic()
            self._partial = bytearray(view[place:])

    def open_s(self, now: float) -> float:
        """For how long a frame other than DATA, or the head of one, has not been complete."""
        return now - self._since if self._partial else 0.0

    def _greet(self, view: memoryview) -> int:
        if bytes(view[: len(frames.PREFACE)]) != frames.PREFACE[: len(view)]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this port speaks gRPC, over HTTP/2 without TLS")
        self.greeted = len(view) >= len(frames.PREFACE)
        return len(frames.PREFACE) if self.greeted else 0

    def _frame(self, view: memoryview, place: int, left: int) -> int:
        """One frame, or the head of one of DATA; returns how many bytes that was, 0 if it is not complete."""
        self._needed = frames.HEAD_BYTES
        if left < frames.HEAD_BYTES:
            return 0
        self.count += 1
        length, flags, number = frames.HEAD.unpack_from(view, place)
        length, kind = length >> 8, length & 255
        number &= frames.STREAM_MASK
        if length > (MOST_DATA_FRAME if kind == frames.DATA else MOST_OTHER_FRAME):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes is too large")
        is_padded = kind == frames.DATA and bool(flags & frames.PADDED)
        self._needed += min(length, 1) if is_padded else 0 if kind == frames.DATA else length
        if left < self._needed:
            return 0
        place += frames.HEAD_BYTES
        if kind != frames.DATA:
            self._rules.frame(kind, flags, number, bytes(view[place : place + length]))
        else:
            padding = frames.padding(view[place : place + min(length, 1)], length) if is_padded else 0
            self._rules.data_begins(number, flags, length)
            self.data_left, self._padding_left = length - padding - is_padded, padding
            if not self.data_left and not padding:
                self._rules.data_ends()
        return self._needed

    def _data(self, view: memoryview) -> int:
        """Some of what a frame of DATA holds, then its padding; returns how many bytes that was."""
        size = min(self.data_left, len(view))
        if size:
            self.data_left -= size
            self._rules.data(view[:size])
        skipped = min(self._padding_left, len(view) - size)
        self._padding_left -= skipped
        if not self.data_left and not self._padding_left:
            self._rules.data_ends()
        return size + skipped
