"""The thread that accepts connections and reads from all of them; it never waits for one."""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial

from serving.modelserver.http2.connection import Begin, Connection
from serving.modelserver.http2.frames import ConnectionFault, ErrorCode
from serving.modelserver.http2.limits import ConnectionLimits

log = logging.getLogger(__name__)

_READ_BYTES = 256 * 1024
_LOOK_S, _LOOK_OFTEN_S = 1.0, 0.05
"""How often all connections are looked at; the second while the listener closes."""
_LINGER_S = 1.0
"""So long a caller may take to read last words before the connection is cut."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Peer:
    """A connection and its socket."""

    def __init__(self, accepted: socket.socket, listener: "Listener") -> None:
        self.socket = accepted
        self._selector, self._lock = listener.selector, threading.Lock()
        self._open = True
        self.ends_at: float | None = None
        """When it is cut, once the last words are said."""
        listener.selector.register(accepted, _READ, self)
        self.connection = Connection(accepted, listener.limits, listener.begin, self._want_write)

    def _want_write(self, wanted: bool) -> None:
        with self._lock:
            if self._open:
                self._selector.modify(self.socket, _READ | _WRITE if wanted else _READ, self)

    def finish(self, now: float) -> None:
        """Nothing more is said; what still comes is dropped, for to close at once would take the last words away."""
        if self.ends_at is None:
            self.ends_at = now + _LINGER_S
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Cut it."""
        self.connection.lost()  # first: a thread that still wrote here could reach whoever gets this file's number next
        with self._lock:
            if not self._open:
                return
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
        self._peers: set[Peer] = set()
        self._space = bytearray(_READ_BYTES)
        self._resting: list[socket.socket] = []
        """Listening sockets by which nobody is let in at the moment, since the system has no file for more."""
        self._wake, self._woken = socket.socketpair()
        self._ends_at: float | None = None
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
        looks_at = 0.0
        try:
            while self._ends_at is None or (self._peers and time.monotonic() < self._ends_at):
                for key, events in self.selector.select(max(0.0, looks_at - time.monotonic())):
                    if isinstance(key.data, Peer):
                        self._serve(key.data, events)
                    else:
                        key.data()
                if (now := time.monotonic()) >= looks_at or self._ends_at is not None:
                    self._look(now)
                    looks_at = now + (_LOOK_S if self._ends_at is None else _LOOK_OFTEN_S)
        except Exception:
            log.exception("the gRPC port has stopped")
        finally:
            self._close()

    def _let_in(self, listening: socket.socket) -> None:
        self.selector.register(listening, _READ, partial(self._accept, listening))

    def _accept(self, listening: socket.socket) -> None:
        try:
            accepted, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("a connection could not be accepted: %s", error)
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
            self._peers.add(Peer(accepted, self))
        except OSError as error:
            log.warning("a connection could not be served: %s", error)
            accepted.close()

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest, if any is."""
        idle = [peer for peer in self._peers if not peer.connection.out.streams]
        if not idle:
            return False
        longest = min(idle, key=lambda peer: peer.connection.used)
        longest.connection.fail(ConnectionFault(ErrorCode.NO_ERROR, "the place is needed; connect again when you call"))
        self._cut(longest)
        return True

    def _serve(self, peer: Peer, events: int) -> None:
        """Read what has come, write what has waited; a caller's faults end the caller's connection alone."""
        try:
            if events & _WRITE:
                peer.connection.out.resume()
            if events & _READ:
                count = peer.socket.recv_into(self._space)
                if not count:
                    self._cut(peer)
                elif peer.ends_at is None:
                    peer.connection.receive(memoryview(self._space)[:count])
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
        self._peers.discard(peer)
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
                    peer.finish(now)
            except ConnectionFault as fault:
                self._end(peer, fault)
            except Exception:
                log.exception("a connection failed unexpectedly")
                self._cut(peer)

    def _woken_up(self) -> None:
        """Stop accepting: whoever connects now is told by the system that nobody listens."""
        self.selector.unregister(self._woken)
        self._close_sockets()

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
