"""A gRPC door of small methods whose every step a test can see, and what it holds at any moment."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from serving.errors import NotFound
from serving.modelserver.grpc_door import GrpcDoor, GrpcOptions
from serving.modelserver.grpc_methods import Conversation, Send, Services, Unary, Watch
from tests.waiting import until


class Acts:
    """What the methods do, and have done."""

    def __init__(self) -> None:
        self.ran: list[bytes] = []
        """Requests of Hold that were begun."""
        self.open = threading.Event()
        """Calls of Hold end."""
        self.deadlines: list[float | None] = []
        self.watching: set[Send] = set()

    def services(self) -> Services:
        """The table."""
        return {
            "test.Acts": {
                "Echo": Unary(BytesValue, lambda request, _: request),
                "AtOnce": Unary(BytesValue, lambda request, _: request, at_once=True),
                "Zeros": Unary(Int64Value, lambda request, _: BytesValue(value=bytes(request.value))),
                "Hold": Unary(BytesValue, self._hold),
                "HoldAndFail": Unary(
                    BytesValue, lambda request, deadline: self._fail(self._hold(request, deadline), None)
                ),
                "Fail": Unary(StringValue, self._fail),
                "SlowTalk": Conversation(BytesValue, lambda request: [self._hold(request, None)]),
                "Talk": Conversation(BytesValue, lambda request: [request]),
                "Swell": Conversation(Int64Value, lambda request: [BytesValue(value=bytes(request.value))]),
                "Watch": Watch(BytesValue, self._watch),
            }
        }

    def _hold(self, request: Any, deadline: float | None) -> Message:
        self.ran.append(request.value)
        self.deadlines.append(deadline)
        assert self.open.wait(60)
        answer: Message = request
        return answer

    def _fail(self, request: Any, _: float | None) -> Message:
        raise NotFound(request.value)

    def _watch(self, request: Any, send: Send) -> Callable[[], None]:
        self.watching.add(send)
        send(request)
        return lambda: self.watching.discard(send)


class Stage:
    """An open door, and a look behind it."""

    def __init__(self, **options: Any) -> None:
        self.acts = Acts()
        self.door = GrpcDoor(GrpcOptions(address="127.0.0.1", port=0, **options), self.acts.services())
        assert self.door.port
        self.port: int = self.door.port

    def clear(self) -> None:
        """Be as new for the next test."""
        self.acts.open.set()
        until(lambda: not self.busy_threads)
        self.acts.open.clear()
        self.acts.watching.clear()

    def close(self) -> None:
        """Let go of everybody."""
        self.acts.open.set()
        self.door.stop(0)

    @property
    def held_bytes(self) -> int:
        """Of requests, over all connections."""
        return self.door._ledger.held

    @property
    def streams(self) -> int:
        """Whose answers are not out."""
        return sum(len(peer.connection.out.streams) for peer in list(self.door._listener._peers))

    @property
    def exchanges(self) -> list[Any]:
        """Calls whose answers are not out."""
        peers = list(self.door._listener._peers)
        return [stream.exchange for peer in peers for stream in list(peer.connection.out.streams.values())]

    @property
    def busy_threads(self) -> int:
        """That work on a call."""
        return sum(threads._started - threads._idle for threads in (self.door._threads, self.door._talk_threads))

    @property
    def unread_bytes(self) -> int:
        """Of answers that wait."""
        peers = list(self.door._listener._peers)
        return sum(stream.waiting for peer in peers for stream in list(peer.connection.out.streams.values()))

    @property
    def callers(self) -> int:
        """Connections that are open."""
        return len(self.door._listener._peers)

    def until_nothing_is_held(self) -> None:
        """Wait for the end of all that a caller can leave behind."""
        until(lambda: (self.held_bytes, self.streams, self.busy_threads, self.unread_bytes) == (0, 0, 0, 0))


@contextlib.contextmanager
def stage(**options: Any) -> Iterator[Stage]:
    """A door for one test."""
    opened = Stage(**options)
    try:
        yield opened
    finally:
        opened.close()
