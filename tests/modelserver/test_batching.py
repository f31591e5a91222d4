"""Section 12 of the protocol at the doors: whichever way requests come, they are merged, split and refused alike."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from serving.errors import BadInput
from serving.modelserver.flag_effects import config_of
from serving.modelserver.flags import parse
from serving.modelserver.runtimes.protocol import LoadedModel, Signature, Tensors
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, Refusal, Rest, grpc_to, predict_request, rest_to
from tests.modelserver.stand_ins import FLOAT_VECTOR, MATRIX, Arrays, StandIn, publish
from tests.waiting import until

PARAMETERS = "max_batch_size { value: 4 } num_batch_threads { value: 2 } allowed_batch_sizes: 4"


class Recorder:
    """A doubler that remembers how many rows it was asked for at a time."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.lock = threading.Lock()

    def load(self, _folder: Path) -> LoadedModel:
        signatures = [
            (Signature("serving_default", {"x": FLOAT_VECTOR}, {"y": FLOAT_VECTOR}), self.double),
            (Signature("none", {}, {"y": FLOAT_VECTOR}), lambda _: {"y": np.zeros(1, np.float32)}),
            (
                Signature("pair", {"a": FLOAT_VECTOR, "b": FLOAT_VECTOR}, {"y": FLOAT_VECTOR}),
                lambda inputs: {"y": inputs["a"]},
            ),
            (
                Signature("one_row", {"x": FLOAT_VECTOR}, {"y": FLOAT_VECTOR}),
                lambda _: {"y": np.zeros(1, np.float32)},
            ),
            (Signature("same", {"m": MATRIX}, {"m": MATRIX}), self.echo),
            (
                Signature("scalar", {"x": FLOAT_VECTOR}, {"y": FLOAT_VECTOR}),
                lambda _: {"y": np.array(1, np.float32)},
            ),
        ]
        return StandIn(signatures)

    def double(self, inputs: Tensors) -> Arrays:
        with self.lock:
            self.rows.append(len(inputs["x"]))
        return {"y": 2 * inputs["x"]}

    def echo(self, inputs: Tensors) -> Arrays:
        if (inputs["m"] < 0).any():
            raise BadInput("a negative number")
        return {"m": inputs["m"]}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(tmp_path: Path, recorder: Recorder) -> Iterator[ModelServer]:
    """A server told to batch by the flags: four rows, or ten seconds."""
    with started(tmp_path, recorder, "batch_timeout_micros { value: 10000000 }") as running:
        yield running


def started(tmp_path: Path, recorder: Recorder, more: str) -> ModelServer:
    (tmp_path / "batching").write_text(f"{PARAMETERS} {more}")
    flags = parse(
        [
            "--enable_batching",
            f"--batching_parameters_file={tmp_path / 'batching'}",
            f"--model_base_path={publish(tmp_path, 'm', 1)}",
            "--model_name=m",
            "--bind_address=127.0.0.1",
        ]
    ).flags
    return ModelServer(dataclasses.replace(config_of(flags), grpc_port=0, rest_port=0), recorder.load)


@pytest.fixture
def channel(server: ModelServer) -> Iterator[Grpc]:
    with grpc_to(server) as channel:
        yield channel


@pytest.fixture
def connection(server: ModelServer) -> Iterator[Rest]:
    with rest_to(server) as connection:
        yield connection


def test_requests_of_both_protocols_meet_in_one_batch(recorder: Recorder, channel: Grpc, connection: Rest) -> None:
    with ThreadPoolExecutor(2) as pool:
        over_grpc = pool.submit(channel.predict, predict_request("m", {"x": [1.0, 2.0]}))
        over_rest = pool.submit(connection.predict, "m", {"instances": [3.0, 4.0]})

        assert over_grpc.result()["y"].tolist() == [2, 4]
        assert over_rest.result().json == {"predictions": [6.0, 8.0]}
    assert recorder.rows == [4]


@pytest.mark.parametrize(
    ("signature", "inputs", "code", "text"),
    [
        (
            "",
            {"x": [1.0] * 5},
            "INVALID_ARGUMENT",
            "Task size 5 is larger than maximum input batch size 4",
        ),
        ("none", {}, "INVALID_ARGUMENT", "Batching Run() must have at least one input tensor"),
        ("", {"x": 1.0}, "INVALID_ARGUMENT", "Batching Run() input tensors must have at least one dimension"),
        (
            "pair",
            {"a": [1.0], "b": [1.0, 2.0]},
            "INVALID_ARGUMENT",
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (
            "one_row",
            {"x": [1.0] * 4},
            "FAILED_PRECONDITION",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
        ("scalar", {"x": [1.0] * 4}, "FAILED_PRECONDITION", "Batched output tensor has 0 dimensions"),
    ],
)
def test_what_cannot_be_batched_is_refused(
    channel: Grpc, signature: str, inputs: dict[str, object], code: str, text: str
) -> None:
    refusal = channel.cannot_predict(predict_request("m", inputs, signature=signature))

    assert refusal == Refusal(code, text)


def test_padding_never_reaches_the_caller(tmp_path: Path, recorder: Recorder) -> None:
    with started(tmp_path, recorder, "batch_timeout_micros { value: 0 }") as server, grpc_to(server) as channel:
        assert channel.predict(predict_request("m", {"x": [1.0, 2.0, 3.0]}))["y"].tolist() == [2, 4, 6]

    assert recorder.rows == [4]


def together(channel: Grpc, *matrices: list[list[float]]) -> list[object]:
    """What requests are answered that meet in one batch: the rows they have, or how they are refused."""

    def ask(matrix: list[list[float]]) -> object:
        request = predict_request("m", {"m": matrix}, signature="same")
        try:
            return channel.predict(request)["m"].tolist()
        except grpc.RpcError as error:
            return error.code().name, error.details()

    with ThreadPoolExecutor(len(matrices)) as pool:
        return list(pool.map(ask, matrices))


def test_widths_that_differ_fail_all_of_their_batch(channel: Grpc) -> None:
    answers = together(channel, [[1.0], [2.0]], [[3.0, 4.0], [5.0, 6.0]])

    for answer in answers:
        assert isinstance(answer, tuple)
        assert answer[0] == "FAILED_PRECONDITION"
        assert answer[1].startswith(
            "Tensors with name 'm:0' from different tasks have different shapes and padding is turned off."
        )
    assert together(channel, [[1.0], [2.0]], [[3.0], [4.0]]) == [[[1], [2]], [[3], [4]]]


def test_with_padding_answers_come_at_the_widest_of_the_batch(tmp_path: Path, recorder: Recorder) -> None:
    more = "batch_timeout_micros { value: 10000000 } pad_variable_length_inputs: true"
    with started(tmp_path, recorder, more) as server, grpc_to(server) as channel:
        answers = together(channel, [[1.0], [2.0]], [[3.0, 4.0], [5.0, 6.0]])

    assert answers == [[[1, 1], [2, 1]], [[3, 4], [5, 6]]]


def test_an_error_of_the_graph_fails_its_batch_and_the_batcher_lives(channel: Grpc) -> None:
    assert together(channel, [[1.0], [2.0]], [[-1.0], [2.0]]) == [("INVALID_ARGUMENT", "a negative number")] * 2
    assert together(channel, [[1.0], [2.0]], [[3.0], [4.0]]) == [[[1], [2]], [[3], [4]]]


def test_a_full_queue_is_unavailable_on_both_protocols(tmp_path: Path, recorder: Recorder) -> None:
    more = "batch_timeout_micros { value: 60000000 } max_enqueued_batches { value: 1 }"
    with started(tmp_path, recorder, more) as server, grpc_to(server) as channel, rest_to(server) as connection:
        call: Any = channel.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        waiting = call.future(predict_request("m", {"x": [1.0, 2.0, 3.0]}).SerializeToString(), timeout=60)
        until(lambda: depth(server) == 1)

        refusal = channel.cannot_predict(predict_request("m", {"x": [1.0, 2.0]}))
        over_rest = connection.predict("m", {"instances": [1.0, 2.0]})

        assert refusal.code == "UNAVAILABLE"
        assert refusal.details.startswith("The batch scheduling queue to which this task was submitted is full")
        assert (over_rest.status, over_rest.error) == (503, refusal.details)
        assert channel.predict(predict_request("m", {"x": [4.0]}))["y"].tolist() == [8]
        waiting.result()
    assert recorder.rows == [4]


def depth(server: ModelServer) -> float | None:
    labels = {"model": "m", "version": "1"}
    return server.manager.metrics.registry.get_sample_value("modelserver_queue_depth", labels)


def test_without_a_card_no_callers_rows_meet(saved_models: Path) -> None:
    config = ServerConfig(base_path=saved_models / "centered", grpc_port=0)
    with ModelServer(config) as running, ThreadPoolExecutor(12) as callers, grpc_to(running) as channel:
        asked = [predict_request("centered", {"x": np.array([[n, 1]], np.float32)}) for n in range(300)]
        answers = list(callers.map(channel.predict, asked))

    assert all((answer["y"] == 0).all() and answer["rows"].tolist() == [1] for answer in answers)
