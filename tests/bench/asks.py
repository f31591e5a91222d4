"""One connection each, ready to ask: HTTP with whole bodies, gRPC Predict with prepared pictures.

load.py drives them. They do as little as they can, since they share the cores with the server.
"""

import base64
import itertools
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import grpc
import numpy as np

from serving.wire import protos, tensors

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_S = 30.0

Ask = Callable[[], None]
"""Send one request and read its answer; raises OSError or RuntimeError if it failed."""


class Caller(Protocol):
    """An Ask over a connection of its own."""

    def __call__(self) -> None:
        """Ask once."""

    def close(self) -> None:
        """Hang up."""


class HttpAsk:
    """A connection of its own that posts the bodies in turn; opened anew once it is closed or has failed."""

    def __init__(self, address: str, path: str, kind: str, bodies: Sequence[bytes]) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: "
        self._turn = itertools.cycle([f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies])
        self._socket: socket.socket | None = None

    def __call__(self) -> None:
        """Ask once."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, TIMEOUT_S)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(next(self._turn))
            status, body, kept = _answer(self._socket)
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise RuntimeError(f"no answer: {error!r}") from error
        if status != 200 or not kept:
            self.close()
        if status != 200:
            raise RuntimeError(f"{status}: {body[:200]!r}")

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _answer(connection: socket.socket) -> tuple[int, bytes, bool]:
    """Status and body of an answer that says how long it is or comes in chunks, and whether the connection is kept."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _received(connection)
    head = data[:end].lower()
    body = data[end + 4 :]
    if b"transfer-encoding: chunked" in head:
        while not body.endswith(b"0\r\n\r\n"):
            body += _received(connection)
    elif b"content-length:" in head:
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += _received(connection)
    else:
        raise RuntimeError(f"an answer of no known length: {head[:100]!r}")
    return int(head.split(b" ", 2)[1]), body, b"connection: close" not in head


def _received(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise RuntimeError("the server closed the connection")
    return chunk


@contextmanager
def calling(callers: Sequence[Caller]) -> Iterator[Sequence[Caller]]:
    """All of them hang up when the block ends."""
    try:
        yield callers
    finally:
        for caller in callers:
            caller.close()


def posting(address: str, path: str, kind: str, bodies: Sequence[bytes], count: int) -> Sequence[Caller]:
    """So many callers over HTTP who each begin elsewhere among the bodies."""
    share = max(1, len(bodies) // count)
    places = [(at * share) % len(bodies) for at in range(count)]
    return [HttpAsk(address, path, kind, [*bodies[place:], *bodies[:place]]) for place in places]


def rest_bodies(files: Sequence[bytes]) -> list[bytes]:
    """Whole picture files as bodies of the model server's REST predict."""
    rows = [{"image_bytes": {"b64": base64.b64encode(data).decode()}} for data in files]
    return [json.dumps({"signature_name": "encoded", "instances": [row]}).encode() for row in rows]


class GrpcAsk:
    """A channel of its own that predicts arrays in turn, one a call, as tensor_content."""

    def __init__(self, target: str, model: str, batches: Sequence[Any], alias: str = "image") -> None:
        self._channel = grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)])
        self._call: Any = self._channel.unary_unary(PREDICT)
        requests = []
        for batch in batches:
            request = protos.PredictRequest()
            request.model_spec.name = model
            array = np.ascontiguousarray(batch)
            request.inputs[alias].CopyFrom(tensors.to_proto(array, as_content=array.dtype != object))
            requests.append(request.SerializeToString())
        self._turn = itertools.cycle(requests)

    def __call__(self) -> None:
        """Ask once."""
        try:
            self._call(next(self._turn), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise RuntimeError(str(error)) from error

    def close(self) -> None:
        """Hang up."""
        self._channel.close()
