"""The gRPC port under callers that mean harm, or are broken; test_hostile.py has the REST port."""

import random
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import grpc as grpc_library
import pytest

from serving.modelserver.grpc_door import GrpcDoor, GrpcOptions
from serving.modelserver.grpc_methods import Unary
from serving.modelserver.server import ModelServer
from serving.wire import protos
from tests.modelserver.asking import Grpc, grpc_to, predict_request
from tests.modelserver.test_hostile import PREDICT, answer_of, connections, others_are_served


@pytest.fixture
def few() -> Iterator[GrpcDoor]:
    """A door with room for 384 connections, and one method, which nobody reaches."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limit[1]))
    try:
        predict = Unary(protos.PredictRequest, lambda request, _: request)
        door = GrpcDoor(GrpcOptions(address="127.0.0.1", port=0), {PREDICT.split("/")[1]: {"Predict": predict}})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    yield door
    door.stop(0)


def test_of_more_grpc_connections_than_files_allow_the_longest_idle_have_to_go(few: GrpcDoor) -> None:
    with connections(few.port, 1024 * 3 // 8) as allowed, connections(few.port, 20) as later:
        for connection in allowed[:20]:
            assert b"connect again" in answer_of(connection)
        for connection in (*allowed[20:], *later):
            assert connection.recv(9)


def test_more_grpc_connections_than_files_allow_are_hung_up_on_where_all_are_in_use(few: GrpcDoor) -> None:
    with connections(few.port, 1024 * 3 // 8) as allowed:
        for connection in allowed:
            connection.sendall(http2((1, 4, 1, predict_headers()), (6, 0, 0, bytes(8))))
            until_answered(connection)
        with connections(few.port, 20) as beyond:
            for connection in beyond:
                assert answer_of(connection) == b""
        assert all(connection.getpeername() for connection in allowed)


def until_answered(connection: socket.socket) -> None:
    """Read up to the answer to a PING: all that was sent before it has been taken."""
    came = b""
    while frame_head(8, 6, 1) not in came:
        came += connection.recv(65536)


def frame_head(length: int, kind: int, flags: int, stream: int = 0) -> bytes:
    return length.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")


def test_random_bytes_are_an_invalid_argument_over_grpc(stand_in_grpc: Grpc) -> None:
    dice = random.Random(7)
    seed = predict_request("doubler", {"x": [1.0, 2.0]}).SerializeToString()
    call: Any = stand_in_grpc.channel.unary_unary(PREDICT)
    codes = set()
    for _ in range(300):
        body = bytearray(seed)
        for _ in range(dice.randint(1, 6)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        try:
            call(bytes(body), timeout=10)
        except grpc_library.RpcError as error:
            codes.add(error.code().name)
    assert codes <= {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}


def test_callers_that_open_grpc_calls_and_send_nothing_hold_up_nobody(stand_in_server: ModelServer) -> None:
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait(30)
        yield from ()

    channels = [grpc_to(stand_in_server) for _ in range(4)]
    stalled = []
    for channel in channels:
        call: Any = channel.channel.stream_unary(PREDICT)
        stalled += [call.future(nothing()) for _ in range(50)]
    others_are_served(stand_in_server)
    for future in stalled:
        future.cancel()
    never.set()
    for channel in channels:
        channel.channel.close()
    others_are_served(stand_in_server)


def http2(*frames: tuple[int, int, int, bytes]) -> bytes:
    """The preface of HTTP/2 and frames of type, flags, stream and payload."""
    parts = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    for kind, flags, stream, payload in ((4, 0, 0, b""), *frames):
        parts.append(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)
    return b"".join(parts)


def predict_headers() -> bytes:
    """HPACK literals, without indexing."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": PREDICT,
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x00\x7f\xff\xff\xff", id="two gigabytes announced"),
        pytest.param(b"\x00\xff\xff\xff\xff", id="four gigabytes announced"),
        pytest.param(b"\x01\x00\x00\x00\x05hello", id="compressed by nothing known"),
        pytest.param(b"\x00\x00", id="a truncated frame"),
    ],
)
def test_grpc_frames_that_mean_harm_cost_their_caller_only(stand_in_server: ModelServer, payload: bytes) -> None:
    with connections(stand_in_server.grpc_port, 10) as hostile:
        for connection in hostile:
            connection.sendall(http2((1, 4, 1, predict_headers()), (0, 0, 1, payload)))
        others_are_served(stand_in_server)
        for connection in hostile:
            connection.sendall(http2()[:7] * 100)
    others_are_served(stand_in_server)
