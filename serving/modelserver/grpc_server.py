"""The gRPC door: services of bytes in, bytes out, on threads, within limits.

grpc's own server with a thread for each call costs 0.35 ms of CPU per call of 77 KB here, its asyncio
server 0.55 once runs happen on other threads. Messages are read and written on the call's own thread
(grpc would do it on its one event thread), errors become a code and a text, nothing else gets out.
What the services answer is messages.py's and oip_messages.py's business.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.message import DecodeError, EncodeError, Message

from serving.errors import BadInput, Code, OutOfRange, Overloaded, ServingError, Unavailable
from serving.modelserver.call_threads import CallThreads, are_short
from serving.modelserver.rest_limits import most_connections
from serving.modelserver.server_config import Tls

log = logging.getLogger(__name__)

MOST_DETAIL_BYTES = 1024
_MOST_MESSAGE_BYTES = 2**31 - 1
_OPEN_PER_CALL = 4
"""Calls may be open, their message still on its way, so many times as may be worked on. Each holds a
thread that sleeps: a caller that opens calls and sends nothing must open thousands to be in the way."""
_STATUS: Mapping[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}

Method = Callable[[Any, float | None], Message]
"""A request message and a deadline in time.monotonic() seconds in, the response out; raises ServingError."""


@dataclass(frozen=True, slots=True)
class Unary:
    """One method of a service."""

    request: type[Message]
    method: Method


Services = Mapping[str, Mapping[str, Unary]]
"""Full service name to method name to method."""


def truncated(message: str) -> str:
    """A text short enough for a status: 1024 bytes, then a mark."""
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= MOST_DETAIL_BYTES:
        return encoded.decode()
    return encoded[:MOST_DETAIL_BYTES].decode("utf-8", "ignore") + "...TRUNCATED"


class Gate:
    """Lets so many calls in at a time and no more; health checks and reflection do not come by here."""

    def __init__(self, most: int) -> None:
        self._most, self._inside = most, 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside >= self._most:
                raise Overloaded(f"{self._inside} calls are under way already; try again later")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1


def handler(unary: Unary, gate: Gate) -> "grpc.RpcMethodHandler[bytes, bytes]":
    """A method as grpc wants it: bytes to bytes, failing only by abort()."""

    def answer(raw: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            if are_short():
                raise Overloaded("No thread can be started for this call; try again later")
            with gate:
                return _answer(unary, raw, context)
        except ServingError as error:
            context.abort(_STATUS[error.code], truncated(error.message))
        except Exception as error:  # a fault of ours: the log has all of it, the caller nothing of our insides
            log.exception("a call failed unexpectedly")
            context.abort(grpc.StatusCode.INTERNAL, truncated(f"Unexpected {type(error).__name__}; see the log"))
        raise AssertionError  # abort() has raised

    return grpc.unary_unary_rpc_method_handler(answer)


def _answer(unary: Unary, raw: bytes, context: grpc.ServicerContext) -> bytes:
    remaining = context.time_remaining()
    try:
        request = unary.request.FromString(raw)
    except DecodeError as error:
        raise BadInput(f"The request is not a {unary.request.DESCRIPTOR.full_name} message: {error}") from error
    response = unary.method(request, None if remaining is None else time.monotonic() + remaining)
    try:
        return response.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise OutOfRange(f"The response does not fit into one message of {_MOST_MESSAGE_BYTES} bytes") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcOptions:
    """Where and how to listen."""

    address: str
    port: int | None
    """None: no TCP port; 0: the system chooses."""
    socket_path: Path | None = None
    arguments: tuple[tuple[str, int | str], ...] = ()
    most_calls: int = 1024
    tls: Tls | None = None
    alts: bool = False


class GrpcServer:
    """The open door. `extend` may register further services, such as health and reflection, before it opens."""

    def __init__(
        self, options: GrpcOptions, services: Services, extend: Iterable[Callable[[grpc.Server], None]] = ()
    ) -> None:
        """Open.

        Raises:
            Unavailable: a port or socket that cannot be had.
        """
        self._options = options
        most_open = _OPEN_PER_CALL * options.most_calls
        self._pool = CallThreads(most_open)
        self._server = grpc.server(
            self._pool,  # type: ignore[arg-type]  # any Executor will do
            options=_arguments(options),
            maximum_concurrent_rpcs=most_open,
        )
        gate = Gate(options.most_calls)
        for service, methods in services.items():
            handlers = {name: handler(unary, gate) for name, unary in methods.items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        for register in extend:
            register(self._server)
        host = f"[{options.address}]" if ":" in options.address else options.address
        self.port = None if options.port is None else self._listen(f"{host}:{options.port}")
        if options.socket_path is not None:
            self._listen_on_socket(options.socket_path)
        self._server.start()

    def _listen(self, address: str) -> int:
        options = self._options
        try:
            if options.alts:
                return self._server.add_secure_port(address, grpc.alts_server_credentials())
            if options.tls:
                return self._server.add_secure_port(address, _credentials(options.tls))
            return self._server.add_insecure_port(address)
        except (RuntimeError, ValueError) as error:
            hint = "; are the key, the certificates and client_verify of ssl_config_file right?" if options.tls else ""
            raise Unavailable(f"cannot listen for gRPC at {address}: {error}{hint}") from error

    def _listen_on_socket(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if path.is_socket():
                os.unlink(path)  # left by a server that was killed
        self._listen(f"unix:{path}")

    def stop(self, grace_s: float) -> None:
        """Take no new calls, let those under way end for so long, then cut them off."""
        self._server.stop(grace_s).wait()
        self._pool.shutdown()
        if self._options.socket_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._options.socket_path)


def _arguments(options: GrpcOptions) -> list[tuple[str, Any]]:
    """Ours first: of two values for one argument, gRPC takes the later."""
    return [
        ("grpc.max_receive_message_length", _MOST_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MOST_MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),  # a second server on this port is a mistake to be told, not a share of the calls
        ("grpc.max_allowed_incoming_connections", most_connections()),  # more are hung up on
        *options.arguments,
    ]


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.custom_ca, require_client_auth=tls.client_verify
    )


assert set(_STATUS) == {code.value for code in Code}
