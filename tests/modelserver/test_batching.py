"""Section 12 of the protocol at the doors: whichever way requests come, they are merged, split and refused alike."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from serving.modelserver.flag_effects import config_of
from serving.modelserver.flags import parse
from serving.modelserver.runtimes.protocol import LoadedModel, Signature, Tensors
from serving.modelserver.server import ModelServer
from tests.modelserver.asking import Grpc, Refusal, Rest, grpc_to, predict_request, rest_to
from tests.modelserver.stand_ins import FLOAT_VECTOR, Arrays, StandIn, publish

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
