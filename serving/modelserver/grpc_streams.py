"""gRPC calls of more than one request or answer: conversations, and callers who watch something."""

import threading
from collections import deque
from collections.abc import Callable

from google.protobuf.message import Message

from serving.errors import DeadlineExceeded, Overloaded, ServingError
from serving.modelserver import grpc_frames
from serving.modelserver.call_threads import Work
from serving.modelserver.grpc_calls import EXPIRED, MOST_SMALL_BYTES, OPEN_BYTES, Call
from serving.modelserver.grpc_methods import Conversation, Watch, parsed
from serving.modelserver.http2.header_blocks import Headers
from serving.modelserver.http2.stream import Stream
from serving.modelserver.ledger import Held

_MOST_WATCHED_BYTES = 1 << 14


class _Streaming(Call):
    """A call with any number of answers."""

    def _send(self, message: bytes) -> None:
        head, self._begun = b"" if self._begun else grpc_frames.BEGIN, True
        self._stream.send(head, grpc_frames.framed(message))

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._stream.send(b"" if self._begun else grpc_frames.BEGIN, trailers=grpc_frames.WELL)
        self._settle()


class ConversationCall(_Streaming):
    """Any number of requests, answered one after the other on a thread: thousands may come at once.

    The thread that reads puts questions into `_next`; one thread at a time, the one that `_at_work` stands for, takes
    them out and alone sends. It never stops while something is left, so that nobody has to wake it.
    """

    _most_bytes = MOST_SMALL_BYTES

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
        self._at_work = self._ended = False
        """Ended: nothing more is put into it."""
        self._unread = 0
        """Bytes of answers that waited for the caller when that was last looked at; they are held too."""

    def data(self, part: memoryview) -> None:
        """See Exchange."""
        if self._ended:
            return
        if not self._at_work and not self._reader.in_message:  # all that came before is answered
            self._hold_unread()
            self._held.release(down_to=OPEN_BYTES + self._unread)
        super().data(part)
        self._settle()

    def _came(self) -> None:
        for raw in self._reader.messages():
            self._put(raw)

    def end(self) -> None:
        """The caller has no further question."""
        self._put(None)

    def fail(self, error: Exception) -> None:
        """End with an error, behind the answers to what came before."""
        self._put(error)

    def expired(self) -> None:
        """See Exchange; what nobody has looked at yet is not answered any more."""
        with self._lock:
            self._next.clear()
            self._ended = False
        self._put(DeadlineExceeded(EXPIRED))

    def late(self) -> None:
        """A pause between questions is nobody's fault."""
        if self._reader.in_message:
            super().late()

    def _put(self, item: bytes | Exception | None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = not isinstance(item, bytes)
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
            self._settle()

    def _answer_question(self, raw: bytes) -> None:
        for message in self._conversation.method(parsed(self._conversation.request, raw)):
            response = message.SerializeToString()
            self._held.take(len(response))
            self._unread += len(response)
            self._send(response)
            self._hold_unread()
            if self._unread > MOST_SMALL_BYTES:
                raise Overloaded("Take the answers before you ask for more")
        self._held.give_back(len(raw))

    def _hold_unread(self) -> None:
        """Count the answers that wait, as they are now."""
        waiting = self._stream.waiting
        if waiting > self._unread:
            self._held.take(waiting - self._unread)
        else:
            self._held.give_back(self._unread - waiting)
        self._unread = waiting


class WatchCall(_Streaming):
    """One request, and messages until either side ends it; the request counts for as long."""

    _most_bytes = _MOST_WATCHED_BYTES

    def __init__(self, stream: Stream, headers: Headers, held: Held, watch: Watch) -> None:
        super().__init__(stream, headers, held)
        self._watch = watch
        self._forget: Callable[[], None] | None = None

    def end(self) -> None:
        """The request is complete: begin."""
        try:
            self._check_whole()
            (raw,) = self._reader.messages()
            self._forget = self._watch.method(parsed(self._watch.request, raw), self._tell)
        except Exception as error:  # told to the caller
            self.fail(error)

    def _tell(self, message: Message | None) -> None:
        if message is None:
            self._finish()
        elif not self._over:
            self._send(message.SerializeToString())

    def fail(self, error: Exception) -> None:
        """End with an error; `gone` may never come then."""
        super().fail(error)
        self._leave()

    def gone(self) -> None:
        """The caller has left."""
        super().gone()
        self._leave()

    def _leave(self) -> None:
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
