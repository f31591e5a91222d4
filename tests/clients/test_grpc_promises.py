"""What GrpcClient promises beside answers: TLS, keys, arrays as they lie in memory, the family of errors."""

import shutil
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest

from clients import GrpcClient, Tls, Value
from serving.errors import BadInput, Code, ServingError, Unavailable, of_code
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.clients.answering import Arrays, Refusal, answering, carded
from tests.gateway.test_rows import HOUSES, SIDES
from tests.preprocess.pictures import encoded, flat

RED = encoded(flat("red"), "JPEG")


def halved(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"] / 2}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate: apt-get install openssl")
def test_tls_is_spoken_and_strangers_are_not_trusted(tmp_path: Path) -> None:
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", str(key), "-out", str(chain), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *files], check=True, capture_output=True, timeout=60)

    with answering(halved, tls=(chain, key)) as server:
        with GrpcClient(server.target, tls=Tls(ca=chain)) as client:
            assert client.predict({"x": np.ones(2, np.float32)}, "m")["y"].tolist() == [0.5, 0.5]
        with GrpcClient(server.target, tls=Tls(), timeout_s=3) as stranger, pytest.raises(Unavailable):
            stranger.predict({"x": np.ones(2, np.float32)}, "m")


def test_the_key_is_sent_as_a_bearer_token() -> None:
    with answering(halved) as server, GrpcClient(server.target, api_key="secret") as client:
        client.predict({"x": np.ones(1, np.float32)}, "m")

    assert server.metadata[0]["authorization"] == "Bearer secret"


def test_arrays_travel_as_they_lie_in_memory_and_come_back_so() -> None:
    with answering(halved) as server, GrpcClient(server.target) as client:
        answer = client.predict({"x": np.arange(6, dtype=np.float64).reshape(2, 3)[:, ::2]}, "m")["y"]

    sent = server.requests[0].inputs["x"]
    assert sent.tensor_content == np.array([[0, 2], [3, 5]], np.float64).tobytes()
    assert not sent.double_val
    assert answer.dtype == np.float64
    assert answer.tolist() == [[0, 1], [1.5, 2.5]]


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_every_status_comes_back_as_its_own_class_of_the_one_family(code: Code) -> None:
    def refuse(_inputs: Arrays) -> Arrays:
        raise Refusal(grpc.StatusCode[code.name])

    with answering(refuse) as server, GrpcClient(server.target, attempts=1) as client:
        with pytest.raises(ServingError, match=f"refused with {code.name}") as refused:
            client.predict({"x": np.ones(1, np.float32)}, "m")
        assert type(refused.value) is type(of_code(code.value, ""))
        assert refused.value.code == code


def summed(inputs: Arrays) -> Arrays:
    return {"value": inputs["row"].sum(axis=1)}


def sided(inputs: Arrays) -> Arrays:
    right = (inputs["row"].sum(axis=1) > 10).astype(np.float32)
    return {"probabilities": np.stack([1 - right, right], axis=1)}


def test_rows_are_ordered_by_the_cards_columns_and_answered_with_values() -> None:
    with answering(carded(HOUSES, summed)) as server, GrpcClient(server.target) as client:
        answers = client.score([{"area": 50.5, "rooms": 2}, [3, 100], np.array([1.0, 20.0])], "houses")

    assert answers == [Value("houses", 5, 52.5), Value("houses", 5, 103.0), Value("houses", 5, 21.0)]
    assert server.requests[-1].inputs["row"].dtype == 1
    rows = np.frombuffer(server.requests[-1].inputs["row"].tensor_content, np.float32)
    assert rows.tolist() == [2, 50.5, 3, 100, 1, 20]


def test_rows_of_a_model_with_labels_are_classified_and_a_bad_row_spoils_no_other() -> None:
    with answering(carded(SIDES, sided)) as server, GrpcClient(server.target) as client:
        found = list(client.score_each([[1, 2], {"rooms": 1}, [9, 9]], "sides"))

    assert [getattr(outcome, "label", None) for outcome in found] == ["left", None, "right"]
    assert isinstance(found[1], BadInput)
    assert "area" in found[1].message


def test_an_answer_that_breaks_the_cards_promise_is_an_error_that_says_so() -> None:
    model = carded(HOUSES, lambda _inputs: {"sum": np.ones(1)})
    with answering(model) as server, GrpcClient(server.target) as client, pytest.raises(ServingError) as refused:
        client.score([[1, 2]], "houses")

    assert "no output value" in refused.value.message


def test_the_card_that_tensorflow_computes_from_the_graph_is_enough(saved_models: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
    config = ServerConfig(
        base_path=saved_models / "tiny_image",
        model_name="tiny_image",
        grpc_port=0,
        drain_s=1,
        runtime=RuntimeOptions(runtime="tensorflow"),
    )
    with ModelServer(config) as server:
        server.wait_until_available("tiny_image", timeout_s=60)
        with GrpcClient(f"127.0.0.1:{server.grpc_port}") as client:
            assert client.classify([RED], "tiny_image")[0].label == "red"
