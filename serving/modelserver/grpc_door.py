"""The gRPC door: the table of grpc_methods.py over HTTP/2 of our own, without TLS.

Python's grpc passes each call over three threads that all need the interpreter; here the thread that reads
hands it to the one that answers, which writes to the socket itself: half the CPU of a call that computes nothing
(docs/performance.md). TLS, ALTS and channel arguments that are not known here are grpc_library_door.py's.
"""

import contextlib
import errno
import os
import re
import socket
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from serving.errors import Code, ServingError, Unavailable
from serving.modelserver import grpc_frames
from serving.modelserver.call_threads import CallThreads
from serving.modelserver.grpc_calls import OPEN_BYTES, UnaryCall, refuse
from serving.modelserver.grpc_methods import Conversation, Services, Unary
from serving.modelserver.grpc_streams import ConversationCall, WatchCall
from serving.modelserver.http2.frames import TooLarge
from serving.modelserver.http2.header_blocks import Headers
from serving.modelserver.http2.limits import ConnectionLimits
from serving.modelserver.http2.listener import Listener
from serving.modelserver.http2.stream import NOBODY, Exchange, Stream
from serving.modelserver.ledger import Held, Ledger
from serving.modelserver.rest_limits import most_connections

_BACKLOG = 2048
_MOST_TALKS = 16
"""Conversations that are answered at one moment, more wait; they take no thread from the other calls."""
_PROBE_S = 1.0
_GRPC = re.compile(rb"application/grpc(?![^+;])")  # grpc-web is another matter
_AGE, _GRACE, _IDLE = (
    "grpc.max_connection_age_ms",
    "grpc.max_connection_age_grace_ms",
    "grpc.max_connection_idle_ms",
)
"""gRPC's channel arguments that have their effect here too, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcOptions:
    """Where and how to listen."""

    address: str
    port: int | None
    """None: no TCP port; 0: the system chooses."""
    socket_path: Path | None = None
    arguments: tuple[tuple[str, int | str], ...] = ()
    """As gRPC names them; only those that `takes` knows."""
    most_calls: int = 1024
    silence_s: float = 30.0
    whole_s: float = 600.0
    last_call_s: float = 0.1
    """See ConnectionLimits."""
    most_buffered_bytes: int = 0
    """Requests of all calls together; 0: a quarter of the memory."""


def takes(arguments: tuple[tuple[str, int | str], ...]) -> bool:
    """Whether all of these channel arguments have their effect here."""
    return all(name in (_AGE, _GRACE, _IDLE) and isinstance(value, int) and value > 0 for name, value in arguments)


class GrpcDoor:
    """The open door."""

    def __init__(self, options: GrpcOptions, services: Services) -> None:
        """Open.

        Raises:
            Unavailable: a port or socket that cannot be had.
        """
        self._options = options
        self._methods = {
            f"/{service}/{name}".encode(): method
            for service, methods in services.items()
            for name, method in methods.items()
        }
        self._ledger = Ledger(options.most_buffered_bytes, "gRPC requests")
        self._threads = CallThreads(options.most_calls)
        self._talk_threads = CallThreads(_MOST_TALKS, waits=True)
        sockets, self.port = _listening(options)
        self._listener = Listener(sockets, _limits(options), self._begin, most_connections())

    def _begin(self, stream: Stream, headers: Headers | TooLarge) -> Exchange:
        """Make a call of a request."""
        if isinstance(headers, TooLarge):
            return refuse(stream, Code.RESOURCE_EXHAUSTED, str(headers))
        if headers[b":method"] != b"POST" or not _GRPC.match(headers.get(b"content-type", b"")):
            stream.send(trailers=grpc_frames.WRONG_KIND)
            return NOBODY
        method = self._methods.get(headers[b":path"])
        if method is None:
            return refuse(stream, Code.UNIMPLEMENTED, "Method not found!")
        held = Held(self._ledger)
        try:
            held.take(OPEN_BYTES)
            if (timeout := headers.get(b"grpc-timeout")) is not None:
                stream.expires_at = stream.began + grpc_frames.timeout_s(timeout)
        except ServingError as error:
            held.release()
            return refuse(stream, error.code, error.message)
        if isinstance(method, Unary):
            return UnaryCall(stream, headers, held, method, self._threads.start)
        if isinstance(method, Conversation):
            return ConversationCall(stream, headers, held, method, self._talk_threads.start)
        return WatchCall(stream, headers, held, method)

    def stop(self, grace_s: float) -> None:
        """Take no new calls, let those under way end for so long, then cut them off."""
        if self._options.socket_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._options.socket_path)  # first: later it may be that of the server that comes next
        self._listener.stop(grace_s)
        self._threads.shutdown()
        self._talk_threads.shutdown()


def _limits(options: GrpcOptions) -> ConnectionLimits:
    seconds = {name: int(value) / 1000 for name, value in options.arguments}
    return ConnectionLimits(
        silence_s=options.silence_s,
        whole_s=options.whole_s,
        age_s=seconds.get(_AGE, inf),
        grace_s=seconds.get(_GRACE, inf),
        last_call_s=options.last_call_s,
        idle_s=seconds.get(_IDLE, inf),
    )


def _listening(options: GrpcOptions) -> tuple[list[socket.socket], int | None]:
    """All that is to be listened at, and the port.

    Raises:
        Unavailable: some of it cannot be had; nothing is left behind then.
    """
    sockets = _tcp(options.address, options.port) if options.port is not None else []
    port = sockets[0].getsockname()[1] if sockets else None
    if options.socket_path is not None:
        try:
            sockets.append(_unix(options.socket_path))
        except Unavailable:
            for one in sockets:
                one.close()
            raise
    return sockets, port


def _tcp(address: str, port: int) -> list[socket.socket]:
    """Listening sockets at every address of a name, all of one port; 0.0.0.0 and :: mean both families, as in gRPC.

    Raises:
        Unavailable: one of them cannot be had.
    """
    if address in ("0.0.0.0", "::") and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # no IPv6 here, or the port is taken: the other family says which
            return [_bound(socket.AF_INET6, ("::", port), both=True)]
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    listening: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, place in dict.fromkeys((family, place) for family, _, _, _, place in found):
            chosen = listening[0].getsockname()[1] if listening else port
            listening.append(_bound(family, (place[0], chosen, *place[2:])))
    except (OSError, OverflowError) as error:
        if not listening or not isinstance(error, OSError) or error.errno != errno.EADDRNOTAVAIL:
            for one in listening:
                one.close()
            raise Unavailable(f"cannot listen for gRPC at {where}: {error}") from error
    return listening


def _bound(family: int, place: tuple[Any, ...], *, both: bool = False) -> socket.socket:
    return socket.create_server(place, family=family, backlog=_BACKLOG, dualstack_ipv6=both)


def clear(path: Path) -> None:
    """Take away a socket that nobody listens at any more.

    Raises:
        Unavailable: somebody does.
    """
    with contextlib.suppress(OSError):
        if path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_PROBE_S)
                refused = probe.connect_ex(str(path)) == errno.ECONNREFUSED
            if not refused:
                raise Unavailable(
                    f"cannot listen for gRPC at unix:{path}: another server does; stop it, or name another"
                )
            os.unlink(path)


def _unix(path: Path) -> socket.socket:
    """A listening UNIX socket; one left by a server that was killed is replaced.

    Raises:
        Unavailable: it cannot be had.
    """
    clear(path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise Unavailable(f"cannot listen for gRPC at unix:{path}: {error}") from error
    return listening
