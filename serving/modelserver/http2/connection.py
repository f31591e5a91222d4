"""The rules of one HTTP/2 connection: frames in, requests out, and an end to whoever breaks the rules.

All of it runs on the thread that reads; answers go out by outbound.py from any thread.
Source: RFC 9113; what is bounded here beyond it are the known floods: resets, pings, settings, continuations.
"""

import random
import socket
import struct
import time
from collections.abc import Callable

from serving.modelserver.http2 import frames
from serving.modelserver.http2 import limits as bounds
from serving.modelserver.http2.frame_reader import MOST_DATA_FRAME, FrameReader
from serving.modelserver.http2.frames import ConnectionFault, ErrorCode, Malformed, Setting, TooLarge
from serving.modelserver.http2.header_blocks import MOST_HEADER_BYTES, HeaderReader, Headers
from serving.modelserver.http2.header_frames import HeaderFrames
from serving.modelserver.http2.limits import ConnectionLimits, Noise
from serving.modelserver.http2.outbound import Outbound
from serving.modelserver.http2.stream import Exchange, Stream

Begin = Callable[[Stream, Headers | TooLarge], Exchange]
"""Makes an exchange of a request, or refuses it; called on the thread that reads."""

_WIDEN = frames.window_update(0, bounds.CONNECTION_WINDOW - frames.FIRST_WINDOW)


class Connection:
    """One caller."""

    def __init__(
        self, peer: socket.socket, limits: ConnectionLimits, begin: Begin, want_write: Callable[[bool], None]
    ) -> None:
        """Say hello. Args: peer: an accepted socket, which does not block. want_write: see Outbound."""
        self._limits, self._begin = limits, begin
        self.out = Outbound(peer, want_write)
        self.frames, self._blocks, self._headers = FrameReader(self), HeaderFrames(), HeaderReader()
        self._has_settings = False
        self._data: Stream | None = None
        self._data_flags = 0
        self._window = bounds.CONNECTION_WINDOW
        self._last = 0
        """The highest stream that the caller has opened."""
        self._noise, self._updates = Noise(), 0
        self._born = self.used = self._called = self._looked = time.monotonic()
        self._age_s = limits.age_s * random.uniform(0.9, 1.1)  # those who came together need not leave together
        self._leaves_at: float | None = None
        self._closes = False
        """The caller knows that no further request is taken."""
        hello = {
            Setting.MAX_CONCURRENT_STREAMS: limits.most_streams,
            Setting.INITIAL_WINDOW_SIZE: bounds.STREAM_WINDOW,
            Setting.MAX_FRAME_SIZE: MOST_DATA_FRAME,
            Setting.MAX_HEADER_LIST_SIZE: MOST_HEADER_BYTES,
        }
        self.out.control(frames.settings(hello) + _WIDEN)

    def receive(self, view: memoryview) -> None:
        """Take what has come; its memory is good only until this returns.

        Raises:
            ConnectionFault: the connection cannot go on.
        """
        self.used = time.monotonic()
        self.frames.receive(view)

    def frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """See Rules."""
        if not self._has_settings and kind != frames.SETTINGS:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS come first")
        if self._blocks.is_open and kind != frames.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "headers must be continued before anything else")
        if kind == frames.HEADERS:
            if (block := self._blocks.begin(number, flags, payload)) is not None:
                self._request(*block)
        elif kind == frames.WINDOW_UPDATE:
            frames.check(kind, number, len(payload))
            self._window_update(number, payload)
        else:
            frames.check(kind, number, len(payload))
            self._noise.add()
            if (take := _OTHERS.get(kind)) is not None:  # all others say nothing that matters here
                take(self, number, flags, payload)

    def _continuation(self, number: int, flags: int, payload: bytes) -> None:
        if (block := self._blocks.go_on(number, flags, payload)) is not None:
            self._request(*block)

    def _request(self, number: int, flags: int, block: bytes) -> None:
        """A request begins, or ends with trailers, which nobody reads."""
        ended = bool(flags & frames.END_STREAM)
        if number <= self._last:
            self._trailers(number, ended, block)
            return
        self._last = number
        stream = self._begun(number, block)
        if ended and stream is not None:
            self._end(stream)

    def _trailers(self, number: int, ended: bool, block: bytes) -> None:
        """Those of a stream whose answer is out already were on their way."""
        self._noise.add()
        found = self._headers.decode(block)
        if (stream := self.out.streams.get(number)) is None:
            return
        if stream.ended:
            self._break(stream, ErrorCode.STREAM_CLOSED)
        elif not ended or any(name.startswith(b":") for name, _ in found):
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self._end(stream)

    def _begun(self, number: int, block: bytes) -> Stream | None:
        """A new request, unless it cannot be taken."""
        headers: Headers | TooLarge
        try:
            headers = self._headers.read(block)
            self._noise.add(max(0, len(headers) - bounds.USUAL_HEADERS) // bounds.HEADERS_PER_NOISE)
        except TooLarge as fault:
            self._noise.add(bounds.NOISE_OF_TOO_LARGE)
            headers = fault
        except Malformed as fault:
            self._refuse(number, fault.code)
            return None
        out = self.out
        if self._closes or len(out.streams) >= self._limits.most_streams:
            self._refuse(number, ErrorCode.REFUSED_STREAM)
            return None
        self._called = self.used
        out.streams[number] = stream = Stream(number, out, bounds.STREAM_WINDOW)
        if not isinstance(headers, TooLarge) and (length := headers.get(b"content-length")) is not None:
            stream.promised = int(length)
        stream.exchange = self._begin(stream, headers)
        return stream

    def _refuse(self, number: int, code: ErrorCode) -> None:
        self._noise.add()
        self.out.control(frames.reset(number, code))

    def _break(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream whose caller breaks the rules."""
        if self.out.drop(stream):
            stream.exchange.gone()
            self._refuse(stream.number, code)

    def data_begins(self, number: int, flags: int, length: int) -> None:
        """See Rules."""
        if self._blocks.is_open or number > self._last or not number % 2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"data where none can be, on stream {number}")
        self._window -= length
        stream = self.out.streams.get(number)
        begins = bool(length) and stream is not None and stream.receive_window == bounds.STREAM_WINDOW
        if stream is not None:
            stream.receive_window -= length
        if self._window < 0 or (stream is not None and stream.receive_window < 0):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"stream {number} sends more than was granted")
        ends = stream is not None and bool(flags & frames.END_STREAM)
        if length < bounds.LEAST_DATA_BYTES and not begins and not ends:
            self._noise.add()
        if self._window < bounds.CONNECTION_WINDOW // 2:
            self.out.control(frames.window_update(0, bounds.CONNECTION_WINDOW - self._window))
            self._window = bounds.CONNECTION_WINDOW
        if stream is not None and stream.ended:
            self._break(stream, ErrorCode.STREAM_CLOSED)
            stream = None
        self._data, self._data_flags = stream, flags

    def data(self, part: memoryview) -> None:
        """See Rules."""
        stream = self._data
        if stream is not None and not stream.closed:
            stream.moved = self.used
            if stream.promised is not None:
                stream.promised -= len(part)
            stream.exchange.data(part)

    def data_ends(self) -> None:
        """See Rules."""
        stream = self._data
        if stream is None:
            return
        self._data = None
        if self._data_flags & frames.END_STREAM:
            self._end(stream)
        elif stream.receive_window < bounds.STREAM_WINDOW // 2 and not stream.closed:
            self.out.control(frames.window_update(stream.number, bounds.STREAM_WINDOW - stream.receive_window))
            stream.receive_window = bounds.STREAM_WINDOW

    def _end(self, stream: Stream) -> None:
        stream.ended = True
        if stream.promised:
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
        elif not stream.closed:
            stream.exchange.end()

    def _reset(self, number: int, _flags: int, _payload: bytes) -> None:
        if number > self._last or not number % 2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"stream {number} was never opened")
        if (stream := self.out.streams.get(number)) is not None:
            self._lose(stream)

    def _lose(self, stream: Stream) -> None:
        """Nobody waits for its answer any more."""
        if self.out.drop(stream):
            stream.exchange.gone()

    def _window_update(self, number: int, payload: bytes) -> None:
        more = struct.unpack(">I", payload)[0] & frames.STREAM_MASK
        if not more or number > self._last:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a window of stream {number} cannot grow by {more}")
        self._updates += 1
        if self._updates > bounds.UPDATES_PER_DATA * self.out.data_frames + bounds.FREE_UPDATES:
            self._noise.add()
        stream = self.out.streams.get(number)
        if stream is not None or not number:
            self.out.grant(stream, more)

    def _settings(self, _number: int, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS that acknowledge have no bytes")
            return
        self._has_settings = True
        for setting, value in struct.iter_unpack(">HI", payload):
            if setting == Setting.ENABLE_PUSH and value > 1:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
            if setting == Setting.INITIAL_WINDOW_SIZE:
                self._noise.add(1 + len(self.out.streams) // bounds.STREAMS_PER_NOISE)  # each of them is looked at
                self.out.change_first_window(value)
            if setting == Setting.HEADER_TABLE_SIZE and value < frames.FIRST_TABLE_BYTES:
                self.out.forget_table()
            if setting == Setting.MAX_FRAME_SIZE:
                self.out.change_most_frame(value)
        self.out.control(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _ping(self, _number: int, flags: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self.out.control(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _push(self, _number: int, _flags: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "callers may not push")

    def leave(self) -> None:
        """Ask the caller to go; what is under way is answered, and what was on its way just now."""
        if self._leaves_at is None:
            self._leaves_at = time.monotonic()
            self.out.control(frames.goaway(frames.STREAM_MASK, ErrorCode.NO_ERROR))

    def fail(self, fault: ConnectionFault) -> None:
        """Say why it ends, and that it does."""
        self._closes = True
        self.out.farewell(frames.goaway(self._last, fault.code, fault.message))
        self.lost()

    def lost(self) -> None:
        """Nothing goes out any more: tell everybody who is still at work for this caller."""
        for stream in list(self.out.streams.values()):
            self._lose(stream)
        self.out.close()

    def look(self, now: float) -> bool:
        """See what has taken too long; False if the connection is over. Called again and again."""
        limits = self._limits
        self._noise.forgive(now)
        unsettled_s = 0.0 if self._has_settings else now - self._born
        stuck_s = max(self.out.stuck_s(now), self._blocks.open_s(now), self.frames.open_s(now), unsettled_s)
        if stuck_s > limits.silence_s:
            return False
        for stream in list(self.out.streams.values()):
            if now > stream.expires_at:
                stream.exchange.expired()
            if not stream.ended and (now - stream.moved > limits.silence_s or now - stream.began > limits.whole_s):
                stream.exchange.late()
        for stream in self.out.untaken(now, limits.silence_s, limits.whole_s):
            self._break(stream, ErrorCode.CANCEL)
        if self.out.streams:
            self._called = now
        if now - self._born > self._age_s or now - self._called > limits.idle_s:
            self.leave()
        return self._leaves_at is None or self._stays(now, self._leaves_at)

    def _stays(self, now: float, leaves_at: float) -> bool:
        """Of a connection that was told to go: whether it has not yet."""
        if not self._closes and now - leaves_at >= self._limits.last_call_s:
            self._closes = True
            self.out.control(frames.goaway(self._last, ErrorCode.NO_ERROR))
        if self._closes and not self.out.streams and not self.out.waits:
            return False
        return now - leaves_at <= self._limits.grace_s


_OTHERS: dict[int, Callable[[Connection, int, int, bytes], None]] = {
    frames.CONTINUATION: Connection._continuation,
    frames.RST_STREAM: Connection._reset,
    frames.SETTINGS: Connection._settings,
    frames.PING: Connection._ping,
    frames.PUSH_PROMISE: Connection._push,
}
