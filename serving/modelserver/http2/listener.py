"""The thread that accepts connections and reads from all of them; it never waits for one."""

import contextlib
import errno
import logging
import selectors
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from serving.modelserver.http2.connection import Begin, Connection
from serving.modelserver.http2.frames import ConnectionFault, ErrorCode
from serving.modelserver.http2.limits import ConnectionLimits

log = logging.getLogger(__name__)

_FIRST_TURN_BYTES, _LEAST_TURN_BYTES, _MOST_TURN_BYTES = 1 << 14, 1 << 10, 1 << 17
_FRAMES_A_TURN = 64
"""Whoever sends more in what is read at once gets shorter turns, down to the least, so that others come in between."""
_READ_BYTES = 1 << 18
"""Of one frame of data, which is cheap to take."""
_MOST_DROPPED_BYTES = 1 << 20
"""Of what still comes after the last words."""
_LOOK_S, _LOOK_OFTEN_S = 1.0, 0.05
"""How often all connections are looked at: at least, and at most, which is also while the listener closes."""
_LOOKS = 4
"""In the shortest of the limits' times."""
_LINGER_S = 1.0
"""So long a caller who broke the rules may take to read last words before the connection is cut."""
_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Peer:
    """A connection and its socket."""

    def __init__(self, accepted: socket.socket, listener: "Listener") -> None:
        self.socket = accepted
        self._selector, self._open = listener.selector, True
        self.ends_at: float | None = None
        """When it is cut, once the last words are said."""
        self._turn_bytes, self._dropped = _FIRST_TURN_BYTES, 0
        listener.selector.register(accepted, _READ, self)
        self.connection = Connection(accepted, listener.limits, listener.begin, self._want_write)

    def read(self, space: memoryview) -> bool:
        """Take a turn of what has come; False if the connection is over.

        Raises:
            BlockingIOError: nothing has.
            OSError: the connection is broken.
            ConnectionFault: the caller broke the rules.
        """
        count = self.socket.recv_into(space, self._turn_bytes)
        if self.ends_at is not None:
            self._dropped += count
            return count > 0 and self._dropped <= _MOST_DROPPED_BYTES
        reader = self.connection.frames
        before = reader.count
        self.connection.receive(space[:count])
        if reader.count - before > _FRAMES_A_TURN:
            self._turn_bytes = max(_LEAST_TURN_BYTES, self._turn_bytes // 2)
        else:
            self._turn_bytes = min(_MOST_TURN_BYTES, self._turn_bytes * 2)
            if reader.data_left and count:
                self.connection.receive(space[: self.socket.recv_into(space, min(reader.data_left, _READ_BYTES))])
        return count > 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked and nothing has yet to be said."""
        return not self.connection.out.streams and not self.connection.out.waits

    def _want_write(self, wanted: bool) -> None:
        """Called under the lock of Outbound, which is closed before the socket is."""
        if self._open:
            self._selector.modify(self.socket, _READ | _WRITE if wanted else _READ, self)

    def finish(self, now: float, linger_s: float = _LINGER_S) -> None:
        """Nothing more is said; what still comes is dropped, for to close at once would take the last words away."""
        if self.ends_at is None:
            self.ends_at = now + linger_s
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Cut it."""
        self.connection.lost()  # first: a thread that still wrote here could reach whoever gets this file's number next
        if self._open:
            self._open = False
            self._selector.unregister(self.socket)
            self.socket.close()


class Listener:
    """Open sockets and everybody who came by them."""

    def __init__(
        self, sockets: Sequence[socket.socket], limits: ConnectionLimits, begin: Begin, most_connections: int
    ) -> None:
        """Begin to accept.

        Args:
            sockets: which listen already; they are closed at the end.
            limits: of each connection.
            begin: makes an exchange of each request, on the thread that reads.
            most_connections: more are hung up on, unless one is idle, which then has to go.
        """
        self.limits, self.begin = limits, begin
        self.selector = selectors.DefaultSelector()
        self._sockets, self._most = sockets, most_connections
        self._peers: OrderedDict[Peer, None] = OrderedDict()
        """In the order in which they were last heard of."""
        self._space = memoryview(bytearray(_READ_BYTES))
        self._resting: list[socket.socket] = []
        """Listening sockets by which nobody is let in at the moment, since the system has no file for more."""
        self._wake, self._woken = socket.socketpair()
        self._ends_at: float | None = None
        shortest_s = min(limits.silence_s, limits.whole_s, limits.age_s, limits.grace_s, limits.idle_s)
        self._look_s = max(_LOOK_OFTEN_S, min(_LOOK_S, shortest_s / _LOOKS))
        self._looks_at = 0.0
        self.selector.register(self._woken, _READ, self._woken_up)
        for one in sockets:
            one.setblocking(False)
            self._let_in(one)
        self._thread = threading.Thread(target=self._run, name="grpc-loop", daemon=True)
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Take nobody new, let what is under way end for so long, then cut everybody off."""
        self._ends_at = time.monotonic() + grace_s
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._ends_at is None or (self._peers and time.monotonic() < self._ends_at):
                for key, events in self.selector.select(max(0.0, self._looks_at - time.monotonic())):
                    self._happen(key.data, events)
                if (now := time.monotonic()) >= self._looks_at:
                    self._look(now)
                    self._looks_at = now + (self._look_s if self._ends_at is None else _LOOK_OFTEN_S)
        except Exception:
            log.exception("the gRPC port has stopped")
        finally:
            self._close()

    def _happen(self, what: Peer | Callable[[], None], events: int) -> None:
        """One event; whatever fails, the port stays open."""
        try:
            if isinstance(what, Peer):
                self._serve(what, events)
            else:
                what()
        except Exception:
            log.exception("an event of the gRPC port failed unexpectedly")

    def _let_in(self, listening: socket.socket) -> None:
        self.selector.register(listening, _READ, partial(self._accept, listening))

    def _accept(self, listening: socket.socket) -> None:
        try:
            accepted, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _NO_ROOM:  # all others are the caller's, who has left again
                log.warning("no connection can be accepted for a second: %s", error)
                self.selector.unregister(listening)
                self._resting.append(listening)
            return
        if len(self._peers) >= self._most and not self._make_room():
            accepted.close()
            return
        try:
            accepted.setblocking(False)
            if accepted.family != socket.AF_UNIX:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a caller may vanish without a word
            self._peers[Peer(accepted, self)] = None
        except OSError as error:
            log.warning("a connection could not be served: %s", error)
            accepted.close()

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest, if any is."""
        longest = next((peer for peer in self._peers if peer.is_idle), None)
        if longest is None:
            return False
        longest.connection.fail(ConnectionFault(ErrorCode.NO_ERROR, "the place is needed; connect again when you call"))
        self._cut(longest)
        return True

    def _serve(self, peer: Peer, events: int) -> None:
        """Read what has come, write what has waited; a caller's faults end the caller's connection alone."""
        if peer not in self._peers:  # it had to make room a moment ago
            return
        try:
            if events & _WRITE:
                peer.connection.out.resume()
            if events & _READ:
                self._peers.move_to_end(peer)
                if not peer.read(self._space):
                    self._cut(peer)
        except BlockingIOError:
            return
        except OSError:
            self._cut(peer)
        except ConnectionFault as fault:
            self._end(peer, fault)
        except Exception:
            log.exception("a connection failed unexpectedly")
            self._cut(peer)

    def _end(self, peer: Peer, fault: ConnectionFault) -> None:
        peer.connection.fail(fault)
        peer.finish(time.monotonic())

    def _cut(self, peer: Peer) -> None:
        self._peers.pop(peer, None)
        peer.close()

    def _look(self, now: float) -> None:
        while self._resting and self._ends_at is None:
            self._let_in(self._resting.pop())
        for peer in list(self._peers):
            if peer.ends_at is not None:
                if now >= peer.ends_at:
                    self._cut(peer)
                continue
            try:
                if self._ends_at is not None:
                    peer.connection.leave()
                if not peer.connection.look(now):
                    peer.finish(now, self.limits.silence_s if peer.is_idle else _LINGER_S)
            except ConnectionFault as fault:
                self._end(peer, fault)
            except Exception:
                log.exception("a connection failed unexpectedly")
                self._cut(peer)

    def _woken_up(self) -> None:
        """Stop accepting: whoever connects now is told by the system that nobody listens."""
        self.selector.unregister(self._woken)
        self._close_sockets()
        self._looks_at = 0.0

    def _close_sockets(self) -> None:
        for one in self._sockets:
            if one.fileno() >= 0:
                with contextlib.suppress(KeyError, ValueError):
                    self.selector.unregister(one)
                one.close()

    def _close(self) -> None:
        self._close_sockets()
        for peer in list(self._peers):
            self._cut(peer)
        self.selector.close()
        self._wake.close()
        self._woken.close()
