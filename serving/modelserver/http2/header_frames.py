"""Header blocks out of HEADERS frames and the CONTINUATIONs behind them. Source: RFC 9113, sections 6.2 and 6.10."""

import time

from serving.modelserver.http2 import frames
from serving.modelserver.http2.frame_reader import MOST_OTHER_FRAME
from serving.modelserver.http2.frames import ConnectionFault, ErrorCode
from serving.modelserver.http2.header_blocks import MOST_HEADER_BYTES

Block = tuple[int, int, bytes]
"""Stream, flags of the HEADERS frame, and all bytes of the block."""

_PRIORITY_BYTES = 5


class HeaderFrames:
    """The block that has begun and is not complete."""

    def __init__(self) -> None:
        self._number = self._flags = 0
        self._begun: bytearray | None = None
        self._since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing but a CONTINUATION may come now."""
        return self._begun is not None

    def open_s(self, now: float) -> float:
        """For how long a block has not been complete."""
        return now - self._since if self.is_open else 0.0

    def begin(self, number: int, flags: int, payload: bytes) -> Block | None:
        """A HEADERS frame; the block if that is all of it.

        Raises:
            ConnectionFault: it breaks the rules.
        """
        payload = frames.without_padding(flags, payload)
        if flags & frames.WITH_PRIORITY:
            if len(payload) < _PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "headers with a priority have five bytes of it")
            payload = payload[_PRIORITY_BYTES:]
        if not number % 2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"callers open streams of odd numbers, not {number}")
        if flags & frames.END_HEADERS:
            return number, flags, payload
        self._number, self._flags, self._begun = number, flags, bytearray(payload)
        self._since = time.monotonic()
        return None

    def go_on(self, number: int, flags: int, payload: bytes) -> Block | None:
        """A CONTINUATION frame; the block if it ends with it.

        Raises:
            ConnectionFault: nothing was to be continued, or it becomes too long.
        """
        if self._begun is None or self._number != number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a continuation of nothing")
        self._begun += payload
        if len(self._begun) > MOST_OTHER_FRAME:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"headers may take {MOST_HEADER_BYTES} bytes")
        if not flags & frames.END_HEADERS:
            return None
        block, self._begun = bytes(self._begun), None
        return self._number, self._flags, block
