"""What goes out on one connection: frames in order, data only as far as the caller's windows reach.

Whoever has an answer writes it to the socket itself, on its own thread: to wake the thread that reads for
that would cost more than the writing. What the system does not take at once is kept, and the reading
thread goes on with it when there is room.
"""

import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from serving.modelserver.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    HEADERS,
    LEAST_FRAME,
    MOST_FRAME,
    MOST_WINDOW,
    ConnectionFault,
    ErrorCode,
    frame,
    reset,
)
from serving.modelserver.http2.stream import Stream
from serving.modelserver.http2.unsent import Unsent

_ENOUGH_BYTES = 256 * 1024
"""No more data is made frames of while so much waits for the socket."""
_LARGEST_DATA = 64 * 1024
"""Of a frame, so that answers take turns."""
_MOST_JOINED_BYTES = 1 << 20
"""Of data that comes in pieces: more would hold up the interpreter."""
_MOST_PUMPED_BYTES = 1 << 20
"""At once, however fast the caller takes it: then the thread that reads sees to all others before it goes on."""


class Outbound:
    """The sending side. Thread-safe."""

    def __init__(self, connection: socket.socket, want_write: Callable[[bool], None]) -> None:
        """Args: want_write: has the reading thread call `resume` when the socket takes bytes, or stops that."""
        self._unsent = Unsent(connection, want_write)
        self._lock = threading.Lock()
        self.streams: dict[int, Stream] = {}
        """Those whose answers are not out; the reading thread puts them in."""
        self._waiting: set[Stream] = set()
        """Streams of which something has not gone out."""
        self._ready: OrderedDict[Stream, None] = OrderedDict()
        """Those whose own windows are open: they wait for the connection's, or for the socket."""
        self._ended: OrderedDict[Stream, None] = OrderedDict()
        """Those that have trailers alone to send: they wait for the socket."""
        self._window = FIRST_WINDOW
        self.first_window = FIRST_WINDOW
        """Of a new stream."""
        self._most_data = LEAST_FRAME
        self._table_update = b""
        """What the next header block has to begin with."""
        self.data_frames = 0
        """So many have been made."""
        self.closed = False

    @property
    def waits(self) -> bool:
        """Whether something has not gone out yet."""
        return bool(self._unsent.size or self._waiting)

    def stuck_s(self, now: float) -> float:
        """For how long the socket has not taken what waits for it."""
        return self._unsent.stuck_s(now)

    def untaken(self, now: float, silence_s: float, whole_s: float) -> list[Stream]:
        """Streams whose callers have opened no window for so long, or take their answers for longer than is given."""
        with self._lock:
            return [
                stream
                for stream in self._waiting
                if now - stream.moved > whole_s
                or (now - stream.taken > silence_s and min(stream.window, self._window) <= 0)
            ]

    def control(self, frames: bytes) -> None:
        """Send frames that no window holds up.

        Raises:
            ConnectionFault: too many of them wait to be read.
        """
        with self._lock:
            if not self.closed:
                self._unsent.write(frames, control=True)

    def send(self, stream: Stream, head: bytes, data: Sequence[bytes], trailers: bytes | None) -> None:
        """See Stream.send."""
        size = sum(map(len, data))
        with self._lock:
            if stream.closed or self.closed or stream.trailers is not None:
                return
            parts = [self._headers(END_HEADERS, stream, head)] if head else []
            if self._must_wait(stream, size):
                self._write(b"".join(parts))
                self._queue(stream, data, trailers)
                return
            if size:
                self._window -= size
                stream.window -= size
                self.data_frames += 1
                parts.append(frame(DATA, 0, stream.number, b"".join(data)))
            if trailers is not None:
                parts.append(self._end(stream, trailers))
            self._write(b"".join(parts))

    def _must_wait(self, stream: Stream, size: int) -> bool:
        """Whether others come first, the socket has enough, or a window is too small; no window holds up trailers."""
        if self._unsent.size >= _ENOUGH_BYTES or stream.pending:
            return True
        return size > 0 and (bool(self._ready) or size > min(self._window, stream.window, self._most_data))

    def _end(self, stream: Stream, trailers: bytes) -> bytes:
        """The frames that end an answer; what the caller has not sent of its request is not wanted any more."""
        stream.closed = True
        self.streams.pop(stream.number, None)
        end = self._headers(END_HEADERS | END_STREAM, stream, trailers)
        stream.exchange.done()
        return end if stream.ended else end + reset(stream.number, ErrorCode.NO_ERROR)

    def _headers(self, flags: int, stream: Stream, block: bytes) -> bytes:
        update, self._table_update = self._table_update, b""
        return frame(HEADERS, flags, stream.number, update + block)

    def _queue(self, stream: Stream, data: Sequence[bytes], trailers: bytes | None) -> None:
        stream.moved = stream.taken = time.monotonic()
        size = sum(map(len, data))
        for piece in data if size > _MOST_JOINED_BYTES else [b"".join(data)] if size else ():
            stream.pending = stream.pending or deque()
            stream.pending.append(memoryview(piece))
            stream.waiting += len(piece)
        stream.trailers = trailers
        self._waiting.add(stream)
        self._make_ready(stream)
        self._pump()

    def _make_ready(self, stream: Stream) -> None:
        """Put a stream behind the others if it has something that its own window lets out."""
        if not stream.pending:
            self._ended[stream] = None
        elif stream.window > 0:
            self._ready[stream] = None  # one that is there already keeps its place

    def _pump(self) -> None:
        """Make frames of what waits, as far as the socket takes them: one frame for each stream in its turn.

        It looks at no stream that its own window holds up, so that a window that opens costs what it lets out.
        """
        while self._ended and self._unsent.size < _ENOUGH_BYTES:
            self._finish(self._ended.popitem(last=False)[0])
        left = _MOST_PUMPED_BYTES
        while self._ready and self._window > 0 and self._unsent.size < _ENOUGH_BYTES and left > 0:
            left -= self._send_some(self._ready.popitem(last=False)[0])
        self._unsent.go_on(bool(self._ready) and self._window > 0)

    def _send_some(self, stream: Stream) -> int:
        """A frame of its data; returns of how many bytes."""
        assert stream.pending
        part = stream.pending[0]
        size = min(len(part), self._window, stream.window, self._most_data)
        if size <= 0:
            return 0
        self._window -= size
        stream.window -= size
        stream.taken = time.monotonic()
        stream.waiting -= size
        self.data_frames += 1
        self._write(frame(DATA, 0, stream.number, bytes(part[:size])))
        if size < len(part):
            stream.pending[0] = part[size:]
        else:
            stream.pending.popleft()
        if stream.pending:
            self._make_ready(stream)
        else:
            self._finish(stream)
        return size

    def _finish(self, stream: Stream) -> None:
        """All data of a stream is out: so are its trailers, if it has them."""
        self._waiting.discard(stream)
        if stream.trailers is not None:
            self._write(self._end(stream, stream.trailers))

    def _write(self, data: bytes) -> None:
        if not self.closed and data:
            self._unsent.write(data)

    def resume(self) -> None:
        """The socket takes bytes again."""
        with self._lock:
            self._unsent.resume()
            self._pump()

    def grant(self, stream: Stream | None, more: int) -> None:
        """The caller takes so many bytes more, on one stream or (None) on the connection.

        Raises:
            ConnectionFault: more than HTTP/2 can count.
        """
        with self._lock:
            if stream is None:
                self._window += more
            else:
                stream.window += more
                if stream.pending:
                    self._make_ready(stream)
            if (self._window if stream is None else stream.window) > MOST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window is larger than 2^31 - 1")
            self._pump()

    def change_first_window(self, size: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE: of new streams, and by how much those under way change.

        Raises:
            ConnectionFault: a window becomes larger than HTTP/2 can count.
        """
        with self._lock:
            difference, self.first_window = size - self.first_window, size
            windows = [size]
            for stream in list(self.streams.values()):
                stream.window += difference
                windows.append(stream.window)
                if stream.pending:
                    self._make_ready(stream)
            if max(windows) > MOST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window is larger than 2^31 - 1")
            self._pump()

    def change_most_frame(self, size: int) -> None:
        """SETTINGS_MAX_FRAME_SIZE.

        Raises:
            ConnectionFault: a size that HTTP/2 does not allow.
        """
        if not LEAST_FRAME <= size <= MOST_FRAME:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"frames cannot be of {size} bytes")
        with self._lock:
            self._most_data = min(size, _LARGEST_DATA)

    def forget_table(self) -> None:
        """SETTINGS_HEADER_TABLE_SIZE is below what it was: the next header block says that we keep no table.

        Source: RFC 7541, section 4.2.
        """
        with self._lock:
            self._table_update = b"\x20"

    def drop(self, stream: Stream) -> bool:
        """Nobody wants more of a stream; whether its answer was not out yet."""
        with self._lock:
            if stream.closed:
                return False
            stream.closed = True
            stream.pending, stream.waiting = (), 0
            self.streams.pop(stream.number, None)
            self._waiting.discard(stream)
            self._ready.pop(stream, None)
            self._ended.pop(stream, None)
            return True

    def farewell(self, frames: bytes) -> None:
        """Send last words, if the socket takes them."""
        with self._lock:
            self._write(frames)
            self.closed = True

    def close(self) -> None:
        """Nothing more goes out."""
        with self._lock:
            self.closed = True
            self._unsent.clear()
            self._waiting.clear()
            self._ready.clear()
            self._ended.clear()
