"""gRPC calls as exchanges of HTTP/2: what has come of a request, on which thread it is answered, with what status.

The thread that reads calls all of Exchange but `done`; the thread that answers a call runs `UnaryCall.run` and what
that returns. Both may end a call at once: Outbound lets one of them, and drops what the other sends. `_over` only
spares work. Source of the rules: PROTOCOL-HTTP2.md in the grpc repository.
"""

import time
from collections.abc import Callable
from functools import partial
from math import inf

from serving.errors import BodyTooLarge, Code, DeadlineExceeded, OutOfRange, Overloaded, ServingError
from serving.modelserver import grpc_frames
from serving.modelserver.call_threads import Tell, Work
from serving.modelserver.grpc_methods import Unary, answer, told
from serving.modelserver.http2.header_blocks import Headers
from serving.modelserver.http2.stream import NOBODY, Exchange, Stream
from serving.modelserver.ledger import Held

OPEN_BYTES = 2048
"""Of our own, for a call that is open: they count too, for strangers may open many."""
MOST_SMALL_BYTES = 1 << 20
"""Of a request where the thread that reads does all the work."""
_ONE = "A call of this method brings one whole message"
_TOO_LATE = "the request was not sent whole in time"
EXPIRED = "the deadline of the request has passed"


class Call:
    """What all calls have in common."""

    _most_bytes: float = inf
    """Of messages that wait for their answer."""

    def __init__(self, stream: Stream, headers: Headers, held: Held) -> None:
        """Sends nothing yet. Args: held: the bytes of this request, in the ledger of all."""
        self._stream, self._held = stream, held
        self._reader = grpc_frames.MessageReader(headers.get(b"grpc-encoding", b""), self._take)
        self._begun = self._over = False

    def _take(self, count: int) -> None:
        """See Ledger.take; what no room can be made for ends the call as gRPC says it."""
        if self._held.count + count > self._most_bytes:
            raise Overloaded(f"{self._held.count + count} bytes are more than a message of this method may have")
        try:
            self._held.take(count)
        except BodyTooLarge as error:
            raise Overloaded(f"Received message larger than max ({self._held.count + count} bytes and more)") from error

    def data(self, part: memoryview) -> None:
        """See Exchange."""
        if self._over:
            return
        try:
            self._reader.feed(part)
            self._came()
        except Exception as error:  # told to the caller
            self.fail(error)

    def _came(self) -> None:
        """More is there."""
        if self._reader.waiting > 1:
            raise ServingError(_ONE)

    def _check_whole(self) -> None:
        """Raises ServingError unless the request is one whole message."""
        if self._reader.in_message or self._reader.waiting != 1:
            raise ServingError(_ONE)

    def gone(self) -> None:
        """See Exchange."""
        self._over = True
        self._release()

    def done(self) -> None:
        """See Exchange."""
        self._release()

    def late(self) -> None:
        """See Exchange."""
        self.fail(DeadlineExceeded(_TOO_LATE))

    def expired(self) -> None:
        """See Exchange."""
        if not self._over:
            self.fail(DeadlineExceeded(EXPIRED))

    def fail(self, error: Exception) -> None:
        """End with an error."""
        if not self._over:
            self._over = True
            self._stream.send(trailers=grpc_frames.failed(*told(error), begun=self._begun))
        self._settle()

    def _settle(self) -> None:
        """Give back what is held if the stream has closed; it may have before some of that was taken."""
        if self._stream.closed:
            self._release()

    def _release(self) -> None:
        self._held.release()


class UnaryCall(Call):
    """One request, one answer."""

    def __init__(
        self, stream: Stream, headers: Headers, held: Held, unary: Unary, start: Callable[[Work], None]
    ) -> None:
        """Args: start: has a thread do the work; raises Overloaded where none is left."""
        super().__init__(stream, headers, held)
        self._unary, self._start = unary, start
        self._on_thread = False
        """What is held counts until the thread has done, whatever becomes of the stream."""
        if unary.at_once:
            self._most_bytes = MOST_SMALL_BYTES

    def end(self) -> None:
        """The request is complete: have it answered."""
        try:
            self._check_whole()
            if self._unary.at_once:
                self.run()()
            else:
                self._on_thread = True
                self._start(self.run)
        except Exception as error:  # told to the caller
            self._tell_failure(error)

    def _release(self) -> None:
        if not self._on_thread:
            super()._release()

    def run(self) -> Tell:
        """Find the answer, on whatever thread this is; what is returned sends it."""
        deadline = None if self._stream.expires_at == inf else self._stream.expires_at
        try:
            if self._over:
                return self._leave
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineExceeded("the deadline of the request passed before it was looked at")
            (raw,) = self._reader.messages()
            response = grpc_frames.framed(answer(self._unary, raw, deadline))
            self._hold(sum(map(len, response)))
        except Exception as error:  # told to the caller
            return partial(self._tell_failure, error)
        return partial(self._tell, response)

    def _hold(self, size: int) -> None:
        """Count the answer instead of the request until it is out, for the caller may not take it."""
        self._held.release()
        try:
            self._held.take(size)
        except BodyTooLarge as error:
            raise OutOfRange(f"The answer has {size} bytes, more than this server can hold") from error

    def _tell(self, response: tuple[bytes, bytes]) -> None:
        self._over = True
        self._stream.send(grpc_frames.BEGIN, response, grpc_frames.WELL)
        self._leave()

    def _tell_failure(self, error: Exception) -> None:
        self._on_thread = False
        self.fail(error)

    def _leave(self) -> None:
        self._on_thread = False
        self._settle()


def refuse(stream: Stream, code: Code, message: str) -> Exchange:
    """Answer before the request has come."""
    stream.send(trailers=grpc_frames.failed(code, message))
    return NOBODY
