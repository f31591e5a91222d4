"""gRPC calls as exchanges of HTTP/2: what has come of a request, on which thread it is answered, with what status.

Everything here but `UnaryCall.run` is called on the thread that reads. Source of the rules: PROTOCOL-HTTP2.md
in the grpc repository.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf

from google.protobuf.message import Message

from serving.errors import BodyTooLarge, Code, DeadlineExceeded, OutOfRange, Overloaded, ServingError
from serving.modelserver import grpc_frames
from serving.modelserver.call_threads import Tell, Work
from serving.modelserver.grpc_methods import Conversation, Unary, Watch, answer, parsed, told
from serving.modelserver.http2.header_blocks import Headers
from serving.modelserver.http2.stream import NOBODY, Exchange, Stream
from serving.modelserver.ledger import Held

OPEN_BYTES = 2048
"""Of our own, for a call that is open: they count too, for strangers may open many."""
_MOST_TALK_BYTES = 1 << 20
"""Of what has come and is not answered where the thread that reads does all the work, and of answers not taken."""
_MOST_WATCHED_BYTES = 1 << 14
_ONE = "A call of this method brings one whole message"
_TOO_LATE = "the request was not sent whole in time"


class Call:
    """What all calls have in common."""

    _most_bytes: float = inf
    """Of messages that wait for their answer."""

    def __init__(self, stream: Stream, headers: Headers, held: Held) -> None:
        """Args: held: the bytes of this request, in the ledger of all."""
        self._stream, self._held = stream, held
        self._reader = grpc_frames.MessageReader(headers.get(b"grpc-encoding", b""), self._take)
        self._begun = self._over = False
        self._deadline: float | None = None
        try:
            if (timeout := headers.get(b"grpc-timeout")) is not None:
                self._deadline = stream.expires_at = stream.began + grpc_frames.timeout_s(timeout)
        except ServingError as error:
            self.fail(error)

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

    def gone(self) -> None:
        """See Exchange."""
        self._over = True
        self._held.release()

    def done(self) -> None:
        """See Exchange."""
        self._held.release()

    def late(self) -> None:
        """See Exchange."""
        self.fail(DeadlineExceeded(_TOO_LATE))

    def expired(self) -> None:
        """See Exchange."""
        if not self._over:
            self.fail(DeadlineExceeded("the deadline of the request has passed"))

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self._held.release()
        if not self._over:
            self._over = True
            self._stream.send(trailers=grpc_frames.failed(*told(error), begun=self._begun))

    def _send(self, message: bytes) -> None:
        head, self._begun = b"" if self._begun else grpc_frames.BEGIN, True
        self._stream.send(head, grpc_frames.framed(message))

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._held.release()
            self._stream.send(b"" if self._begun else grpc_frames.BEGIN, trailers=grpc_frames.WELL)


class UnaryCall(Call):
    """One request, one answer."""

    def __init__(
        self, stream: Stream, headers: Headers, held: Held, unary: Unary, start: Callable[[Work], None]
    ) -> None:
        """Args: start: has a thread do the work; raises Overloaded where none is left."""
        super().__init__(stream, headers, held)
        self._unary, self._start = unary, start
        self._on_thread = False
        if unary.at_once:
            self._most_bytes = _MOST_TALK_BYTES

    def end(self) -> None:
        """The request is complete: have it answered."""
        try:
            if self._reader.in_message or self._reader.waiting != 1:
                raise ServingError(_ONE)
            if not self._unary.at_once:
                self._on_thread = True
                self._start(self.run)
            elif (tell := self.run()) is not None:
                tell()
        except Exception as error:  # told to the caller
            self.fail(error)

    def gone(self) -> None:
        """See Exchange; what a thread works on counts until it has done."""
        self._over = True
        if not self._on_thread:
            self._held.release()

    def expired(self) -> None:
        """See Exchange; on its thread a call sees to that itself."""
        if not self._on_thread:
            super().expired()

    def run(self) -> Tell | None:
        """Find the answer, on whatever thread this is; what is returned sends it."""
        try:
            if self._over:
                return self._held.release
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise DeadlineExceeded("the deadline of the request passed before it was looked at")
            (raw,) = self._reader.messages()
            response = grpc_frames.framed(answer(self._unary, raw, self._deadline))
            self._hold(response)
        except Exception as error:  # told to the caller
            return partial(self.fail, error)
        return partial(self._tell, response)

    def _hold(self, response: bytes) -> None:
        """Count the answer instead of the request until it is out, for the caller may not take it."""
        self._held.release()
        try:
            self._held.take(len(response))
        except BodyTooLarge as error:
            raise OutOfRange(f"The answer has {len(response)} bytes, more than this server can hold") from error

    def _tell(self, response: bytes) -> None:
        self._over, self._on_thread = True, False
        self._stream.send(grpc_frames.BEGIN, response, grpc_frames.WELL)
        if self._stream.closed:  # it may have been before this, when nothing was given back
            self._held.release()


class ConversationCall(Call):
    """Any number of requests, answered one after the other on a thread: thousands may come at once."""

    _most_bytes = _MOST_TALK_BYTES

    def __init__(
        self,
        stream: Stream,
        headers: Headers,
        held: Held,
        conversation: Conversation,
        start: Callable[[Work], None],
    ) -> None:
        """Args: start: see UnaryCall."""
        super().__init__(stream, headers, held)
        self._conversation, self._start = conversation, start
        self._lock = threading.Lock()
        self._next: deque[bytes | Exception | None] = deque()
        """Questions, and what ends them: a failure, or None for a good end."""
        self._at_work = False

    def data(self, part: memoryview) -> None:
        """See Exchange."""
        if not self._at_work and not self._reader.in_message:  # all that came before is answered
            self._held.release(down_to=OPEN_BYTES)
        super().data(part)
        if self._stream.closed:  # by the thread, which may have given everything back before this was taken
            self._held.release()

    def _came(self) -> None:
        for raw in self._reader.messages():
            self._put(raw)

    def end(self) -> None:
        """The caller has no further question."""
        self._put(None)

    def fail(self, error: Exception) -> None:
        """End with an error, behind the answers to what came before."""
        self._put(error)

    def _put(self, item: bytes | Exception | None) -> None:
        with self._lock:
            self._next.append(item)
            if self._at_work:
                return
            self._at_work = True
        try:
            self._start(self.run)
        except ServingError as error:
            super().fail(error)

    def run(self) -> None:
        """Answer until nothing is left."""
        while True:
            with self._lock:
                if not self._next:
                    self._at_work = False
                    return
                item = self._next.popleft()
            if not self._over:
                self._answer(item)

    def _answer(self, item: bytes | Exception | None) -> None:
        if item is None:
            self._finish()
        elif isinstance(item, Exception):
            super().fail(item)
        else:
            try:
                self._answer_question(item)
            except Exception as error:  # told to the caller
                super().fail(error)

    def _answer_question(self, raw: bytes) -> None:
        for message in self._conversation.method(parsed(self._conversation.request, raw)):
            self._send(message.SerializeToString())
            if self._stream.pending and self._stream.out.unread > _MOST_TALK_BYTES:
                raise Overloaded("Take the answers before you ask for more")

    def late(self) -> None:
        """A pause between questions is nobody's fault."""
        if self._reader.in_message:
            super().late()


class WatchCall(Call):
    """One request, and messages until either side ends it; the request counts for as long."""

    _most_bytes = _MOST_WATCHED_BYTES

    def __init__(self, stream: Stream, headers: Headers, held: Held, watch: Watch) -> None:
        super().__init__(stream, headers, held)
        self._watch = watch
        self._forget: Callable[[], None] | None = None

    def end(self) -> None:
        """The request is complete: begin."""
        try:
            if self._reader.in_message or self._reader.waiting != 1:
                raise ServingError(_ONE)
            (raw,) = self._reader.messages()
            self._forget = self._watch.method(parsed(self._watch.request, raw), self._tell)
        except Exception as error:  # told to the caller
            self.fail(error)

    def _tell(self, message: Message | None) -> None:
        if message is None:
            self._finish()
        elif not self._over:
            self._send(message.SerializeToString())

    def gone(self) -> None:
        """The caller has left."""
        super().gone()
        if self._forget is not None:
            self._forget()


def refuse(stream: Stream, code: Code, message: str) -> Exchange:
    """Answer before the request has come."""
    stream.send(trailers=grpc_frames.failed(code, message))
    return NOBODY
