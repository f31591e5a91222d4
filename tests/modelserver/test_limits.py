"""Strangers take what they can get: bytes, time, connections and threads have an end, and others are served."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import memory
from serving.errors import BadInput, BodyTooLarge, Unavailable
from serving.modelserver.ledger import Held, Ledger
from serving.modelserver.lifecycle.crew import Crew
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.messages import Messages
from serving.modelserver.rest_limits import GuestBook
from serving.modelserver.runtimes.protocol import Signature, Tensors
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from serving.wire import protos
from tests.modelserver.asking import grpc_to, predict_request, rest_to
from tests.modelserver.stand_ins import ASLEEP, FLOAT_VECTOR, Arrays, StandIn, load, publish
from tests.modelserver.test_hostile import HEAD, ONE, answer_of, connections, others_are_served
from tests.waiting import until

MORE_STACK_THAN_THERE_IS = 1 << 47


def started(tmp_path: Path, **limits: Any) -> ModelServer:
    """A server of a doubler and a sleeper with limits that a test can reach."""
    for model in ("doubler", "sleeper"):
        publish(tmp_path, model, 1)
    config = ServerConfig(models_root=tmp_path, grpc_port=0, rest_port=0, **{"drain_s": 1, **limits})
    return ModelServer(config, load)


def announced(length: int) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % length


def drip(connection: socket.socket) -> None:
    """One byte now and then, until the other side has had enough."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)


def test_a_body_that_drips_in_has_an_end_too(tmp_path: Path) -> None:
    with started(tmp_path, body_timeout_s=20, body_total_s=0.5) as server:
        with connections(server.rest_port, 10) as dripping:
            for connection in dripping:
                connection.sendall(announced(1000))
                threading.Thread(target=drip, args=(connection,), daemon=True).start()
            others_are_served(server)
            for connection in dripping:
                answer = answer_of(connection)
                assert answer == b"" or b"408" in answer.splitlines()[0]
        others_are_served(server)


def test_a_body_that_drips_in_holds_up_the_end_no_longer_than_the_grace_that_is_left(tmp_path: Path) -> None:
    with started(tmp_path, drain_s=3600) as server, connections(server.rest_port, 1) as (dripping,):
        dripping.sendall(announced(1000))
        threading.Thread(target=drip, args=(dripping,), daemon=True).start()
        until(lambda: ledger(server).held > 0)
        stopping = threading.Thread(target=server.stop, args=(1,), daemon=True)
        stopping.start()
        stopping.join(60)

        assert not stopping.is_alive()


def test_bodies_of_all_connections_together_have_an_end(tmp_path: Path) -> None:
    with started(tmp_path, most_buffered_bytes=1_000_000) as server, rest_to(server) as rest:
        body = b'{"instances": [1.0]' + b" " * 300_000 + b"}"
        with connections(server.rest_port, 1) as (hoarder,):
            hoarder.sendall(announced(900_000) + b" " * 800_000)
            until(lambda: ledger(server).held >= 800_000)

            refused = rest.predict("doubler", body)

            assert refused.status == 503
            assert re.fullmatch(r"Bodies of \d+ bytes are held already and at most 1000000 may be; .+", refused.error)
            assert refused.headers["retry-after"] == "1"
            others_are_served(server)
        until(lambda: ledger(server).held == 0)
        with rest_to(server) as again:
            assert again.predict("doubler", body).json == {"predictions": [2.0]}
        with rest_to(server) as again:
            assert again.predict("doubler", b" " * 1_000_001).status == 413


def open_connections(server: ModelServer) -> int:
    assert server._rest is not None
    return server._rest.connections


def ledger(server: ModelServer) -> Ledger:
    assert server._rest is not None
    return server._rest._app.ledger


def test_values_that_were_left_out_take_no_more_room_than_there_is(stand_in_server: ModelServer) -> None:
    """A message of forty bytes may ask for 256 MB, and a thousand of them for all that there is."""
    filling = protos.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 1000}]}, float_val=[0.5])
    asking = predict_request("sleeper", {"seconds": filling})
    too_much = protos.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2000}]}, float_val=[0.5])
    sent = predict_request("sleeper", {"seconds": np.zeros(5000, np.float32)})
    messages = Messages(stand_in_server.manager, most_filled_bytes=6000)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(messages.predict, asking, None)
        until(lambda: len(ASLEEP) == 1)
        with pytest.raises(Unavailable, match="Tensors that were filled in of 4000 bytes are held already"):
            messages.predict(asking, None)
        messages.predict(sent, None)
        first.result()
    messages.predict(asking, None)
    with pytest.raises(BadInput, match="tensor parsing error: seconds"):
        messages.predict(predict_request("sleeper", {"seconds": too_much}), None)


def test_two_gigabytes_that_are_only_announced_take_no_room(tmp_path: Path) -> None:
    with started(tmp_path, most_buffered_bytes=1_000_000) as server:
        with connections(server.rest_port, 100) as announcing:
            for connection in announcing:
                connection.sendall(announced(2**31 - 1) + b"{")
            others_are_served(server)
        until(lambda: ledger(server).held == 0)


def test_a_connection_too_many_is_told_so_while_all_others_are_in_use(tmp_path: Path) -> None:
    with started(tmp_path, most_connections=20) as server:
        with connections(server.rest_port, 20) as busy:
            for connection in busy:
                connection.sendall(announced(len(b'{"instances": [1.0]}')))
            time.sleep(0.1)
            with connections(server.rest_port, 1) as (one_too_many,):
                answer = answer_of(one_too_many)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert answer.endswith(b'{"error":"20 connections are in use; try again later"}')
            for connection in busy:
                connection.sendall(b'{"instances": [1.0]}')
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        others_are_served(server)


def test_idle_connections_make_room_for_those_that_ask(tmp_path: Path) -> None:
    with (
        started(tmp_path, most_connections=20) as server,
        connections(server.rest_port, 20) as idle,
        rest_to(server) as rest,
    ):
        for _ in range(30):
            assert rest.predict("doubler", ONE).status == 200
            others_are_served(server)
        idle[0].settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert idle[0].recv(1) == b""


def test_an_answer_that_nobody_takes_is_not_kept(tmp_path: Path) -> None:
    with started(tmp_path, body_total_s=1) as server, connections(server.rest_port, 1) as (greedy,):
        body = b'{"instances": [' + b"0.1234567," * 700_000 + b"1.5]}"
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.sendall(announced(len(body)) + body)
        until(lambda: ledger(server).held > 0)
        until(lambda: ledger(server).held == 0)
        others_are_served(server)
        until(lambda: open_connections(server) == 0)


def test_a_container_limits_the_memory(tmp_path: Path) -> None:
    assert memory.allowed_bytes(tmp_path) > 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.allowed_bytes(tmp_path) > 2**20
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory.allowed_bytes(tmp_path) == 2**20


def test_a_ledger_gets_back_what_it_gave() -> None:
    books = Ledger(100)
    with Held(books) as first, Held(books) as second:
        first.take(60)
        second.take(40)
        with pytest.raises(Unavailable):
            first.take(1)
        with pytest.raises(BodyTooLarge):
            first.take(41)
        assert books.held == 100
    assert books.held == 0


def test_the_guest_that_was_idle_for_longest_goes_first() -> None:
    book = GuestBook(3)
    assert [book.enters(name) for name in "abc"] == [None, None, None]
    book.is_busy("a")
    book.is_idle("a")
    assert book.enters("d") == "b"
    book.leaves("b")
    for name in "acd":
        book.is_busy(name)
    with pytest.raises(Unavailable, match="3 connections are in use"):
        book.enters("e")
    assert book.here == 4


@contextlib.contextmanager
def no_more_threads() -> Iterator[None]:
    """As if the system had none left: each asks for a stack that cannot be had."""
    threading.stack_size(MORE_STACK_THAN_THERE_IS)
    try:
        yield
    finally:
        threading.stack_size(0)


def test_a_call_for_which_there_is_no_thread_is_refused_and_the_server_lives(tmp_path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait(inputs: Tensors) -> Arrays:
        inside.set()
        go_on.wait(60)
        return {"y": inputs["x"]}

    signature = Signature("serving_default", {"x": FLOAT_VECTOR}, {"y": FLOAT_VECTOR})
    config = ServerConfig(base_path=publish(tmp_path, "slow", 1), grpc_port=0, drain_s=1)
    request = predict_request("slow", {"x": [1.0]})
    with ModelServer(config, lambda _: StandIn([(signature, wait)])) as server, grpc_to(server) as channel:
        call: Any = channel.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        waiting = call.future(request.SerializeToString(), timeout=60)
        assert inside.wait(30)
        with no_more_threads():
            for _ in range(20):
                refusal = channel.cannot_predict(request)
                assert refusal.code == "RESOURCE_EXHAUSTED"
                assert refusal.details == "No thread can be started for this call; try again later"
        go_on.set()

        assert waiting.result(30)
        assert channel.predict(request)["y"].tolist() == [1]


def test_work_without_a_thread_waits_for_one() -> None:
    crew, done = Crew(), threading.Event()
    with no_more_threads():
        crew.start("work", done.set)
        assert not crew.join(time.monotonic())
    crew.again()

    assert done.wait(10)
    assert crew.join(time.monotonic() + 10)


def test_a_version_that_comes_while_there_are_no_threads_is_loaded_later(tmp_path: Path) -> None:
    config = ServerConfig(
        base_path=publish(tmp_path, "doubler", 1), grpc_port=0, lifecycle=LifecycleOptions(poll_s=0.02)
    )
    with ModelServer(config, load) as server, grpc_to(server) as channel:
        channel.predict(predict_request("doubler", {"x": [1.0]}))
        with no_more_threads():
            publish(tmp_path, "doubler", 2)
            until(lambda: len(server.manager.status("doubler")) == 2)
            assert channel.predict(predict_request("doubler", {"x": np.ones(1, np.float32)})).keys() == {"y"}

        until(lambda: server.manager.find("doubler", None, None).version == 2)
