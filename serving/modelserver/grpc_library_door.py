"""The other gRPC door, by Python's grpc: for TLS, for ALTS, and for channel arguments that only it knows.

Messages are read and written on the call's own thread (grpc would do it on its one event thread), errors
become a code and a text, nothing else gets out. What is answered is the business of grpc_methods.py's table.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from serving.errors import Code, Overloaded, Unavailable
from serving.modelserver.call_threads import CallExecutor, are_short
from serving.modelserver.grpc_door import GrpcOptions, clear
from serving.modelserver.grpc_methods import (
    MOST_MESSAGE_BYTES,
    Conversation,
    Services,
    Unary,
    Watch,
    answer,
    parsed,
    told,
)
from serving.modelserver.rest_limits import most_connections
from serving.modelserver.server_config import Tls

_OPEN_PER_CALL = 4
"""Calls may be open, their message still on its way, so many times as may be worked on. Each holds a
thread that sleeps: a caller that opens calls and sends nothing must open thousands to be in the way."""
_STATUS: Mapping[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}


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


def handler(method: Unary | Conversation | Watch, gate: Gate) -> "grpc.RpcMethodHandler[Any, Any]":
    """A method as grpc wants it: bytes to bytes, failing only by abort()."""
    if isinstance(method, Unary):
        return grpc.unary_unary_rpc_method_handler(_unary(method, gate))
    if isinstance(method, Conversation):
        return grpc.stream_stream_rpc_method_handler(_conversation(method))
    return grpc.unary_stream_rpc_method_handler(_watch(method))


def _unary(unary: Unary, gate: Gate) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def reply(raw: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            remaining = context.time_remaining()
            deadline = None if remaining is None else time.monotonic() + remaining
            if unary.at_once:
                return answer(unary, raw, deadline)
            if are_short():
                raise Overloaded("No thread can be started for this call; try again later")
            with gate:
                return answer(unary, raw, deadline)
        except Exception as error:  # told to the caller
            _abort(context, error)

    return reply


def _conversation(method: Conversation) -> Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]:
    def reply(questions: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            for raw in questions:
                for message in method.method(parsed(method.request, raw)):
                    yield message.SerializeToString()
        except Exception as error:  # told to the caller
            _abort(context, error)

    return reply


def _watch(method: Watch) -> Callable[[bytes, grpc.ServicerContext, Callable[[bytes | None], None]], None]:
    def begin(raw: bytes, context: grpc.ServicerContext, send_response_callback: Callable[[Any], None]) -> None:
        def tell(message: Message | None) -> None:
            send_response_callback(None if message is None else message.SerializeToString())

        forget = method.method(parsed(method.request, raw), tell)

        def left() -> None:
            forget()
            tell(None)

        if not context.add_callback(left):  # it has left already
            left()

    begin.experimental_non_blocking = True  # type: ignore[attr-defined]  # grpc's way of holding no thread for it
    return begin


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    code, message = told(error)
    context.abort(_STATUS[code], message)


class GrpcLibraryDoor:
    """The open door."""

    def __init__(self, options: GrpcOptions, services: Services, tls: Tls | None = None, *, alts: bool = False) -> None:
        """Open.

        Raises:
            Unavailable: a port or socket that cannot be had.
        """
        self._options, self._tls, self._alts = options, tls, alts
        most_open = _OPEN_PER_CALL * options.most_calls
        self._pool = CallExecutor(most_open)
        self._server = grpc.server(
            self._pool,  # type: ignore[arg-type]  # any Executor will do
            options=_arguments(options),
            maximum_concurrent_rpcs=most_open,
        )
        gate = Gate(options.most_calls)
        for service, methods in services.items():
            handlers = {name: handler(method, gate) for name, method in methods.items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        host = f"[{options.address}]" if ":" in options.address else options.address
        self.port = None if options.port is None else self._listen(f"{host}:{options.port}")
        if options.socket_path is not None:
            self._listen_on_socket(options.socket_path)
        self._server.start()

    def _listen(self, address: str) -> int:
        try:
            if self._alts:
                return self._server.add_secure_port(address, grpc.alts_server_credentials())
            if self._tls:
                return self._server.add_secure_port(address, _credentials(self._tls))
            return self._server.add_insecure_port(address)
        except (RuntimeError, ValueError) as error:
            hint = "; are the key, the certificates and client_verify of ssl_config_file right?" if self._tls else ""
            raise Unavailable(f"cannot listen for gRPC at {address}: {error}{hint}") from error

    def _listen_on_socket(self, path: Path) -> None:
        clear(path)
        self._listen(f"unix:{path}")

    def stop(self, grace_s: float) -> None:
        """Take no new calls, let those under way end for so long, then cut them off."""
        if self._options.socket_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._options.socket_path)  # first: later it may be that of the server that comes next
        self._server.stop(grace_s).wait()
        self._pool.shutdown()


def _arguments(options: GrpcOptions) -> list[tuple[str, Any]]:
    """Ours first: of two values for one argument, gRPC takes the later."""
    return [
        ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),  # a second server on this port is a mistake to be told, not a share of the calls
        ("grpc.max_allowed_incoming_connections", most_connections()),  # more are hung up on
        *options.arguments,
    ]


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.custom_ca, require_client_auth=tls.client_verify
    )


assert set(_STATUS) == {code.value for code in Code}
