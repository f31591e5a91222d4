"""What only the TensorFlow runtime can serve: tf.Examples, strings, tables, variables that calls change."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from serving.wire import protos
from tests.modelserver.asking import Grpc, Rest, fill_spec, grpc_to, predict_request, rest_to
from tests.modelserver.conftest import config_text
from tests.waiting import until

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

MODELS = ("half_plus_two", "parsed_classifier", "strings", "counter", "vocabulary", "many_types")
CLASSIFY, REGRESS = "PredictionService/Classify", "PredictionService/Regress"


@pytest.fixture(scope="module")
def server(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The real server with models that need TensorFlow."""
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(config_text({name: saved_models / name for name in MODELS}))
    with ModelServer(ServerConfig(model_config_file=file, grpc_port=0, rest_port=0, drain_s=2)) as running:
        yield running


@pytest.fixture
def channel(server: ModelServer) -> Iterator[Grpc]:
    with grpc_to(server) as channel:
        yield channel


@pytest.fixture
def rest(server: ModelServer) -> Iterator[Rest]:
    with rest_to(server) as connection:
        yield connection


def strings(*values: bytes) -> NDArray[Any]:
    return np.array(values, np.object_)


def regression(
    *examples: dict[str, float], context: dict[str, float] | None = None, signature: str = "regress_x_to_y"
) -> protos.RegressionRequest:
    request = protos.RegressionRequest()
    fill_spec(request.model_spec, "half_plus_two", signature=signature)
    kind = request.input.example_list if context is None else request.input.example_list_with_context
    for name, value in (context or {}).items():
        kind.context.features.feature[name].float_list.value.append(value)
    for example in examples:
        features = kind.examples.add().features
        for name, value in example.items():
            features.feature[name].float_list.value.append(value)
    return request


def values(channel: Grpc, request: protos.RegressionRequest) -> list[float]:
    return [one.value for one in channel.call(REGRESS, request).result.regressions]


def test_regressions_of_examples(channel: Grpc) -> None:
    assert values(channel, regression({"x": 80.0}, {"x": 20.0})) == [42, 12]


def test_a_context_stands_in_every_example_and_the_examples_own_value_wins(channel: Grpc) -> None:
    request = regression({}, {"x": 20.0}, {}, context={"x": 80.0})

    assert values(channel, request) == [42, 12, 42]


def test_a_missing_or_wrong_feature_is_the_callers_mistake(channel: Grpc) -> None:
    wrong_kind = regression({"x": 1.0})
    wrong_kind.input.example_list.examples[0].features.feature["x"].int64_list.value.append(1)
    for request in (regression({}), regression({"y": 1.0}), wrong_kind):
        assert channel.refusal(REGRESS, request).code == "INVALID_ARGUMENT"
    assert values(channel, regression({"x": 2.0})) == [3]


def test_classifications_of_examples_over_both_protocols(channel: Grpc, rest: Rest) -> None:
    request = protos.ClassificationRequest()
    fill_spec(request.model_spec, "parsed_classifier")
    request.input.example_list.examples.add().features.feature["x"].float_list.value.extend([0.75, 0.25])

    (found,) = channel.call(CLASSIFY, request).result.classifications
    over_rest = rest.post("/v1/models/parsed_classifier:classify", {"examples": [{"x": [0.75, 0.25]}]})

    assert [(one.label, one.score) for one in found.classes] == [("left", 0.75), ("right", 0.25)]
    assert over_rest.json == {"results": [[["left", 0.75], ["right", 0.25]]]}


def test_a_whole_number_over_rest_is_an_int64_feature_and_fails(rest: Rest) -> None:
    path = "/v1/models/half_plus_two:regress"

    assert rest.post(path, {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}).json == {"results": [3.0]}
    assert rest.post(path, {"signature_name": "regress_x_to_y", "examples": [{"x": 2}]}).status == 400


def test_predict_takes_serialized_examples_for_such_signatures(channel: Grpc) -> None:
    example = protos.Example()
    example.features.feature["x"].float_list.value.append(80.0)
    request = predict_request(
        "half_plus_two", {"inputs": strings(example.SerializeToString())}, signature="regress_x_to_y"
    )

    assert channel.predict(request)["outputs"].tolist() == [[42]]


def runs_of(server: ModelServer, model: str) -> float:
    """Runs of the graph that a model has had, of any signature."""
    return (
        server.manager.metrics.registry.get_sample_value(
            "modelserver_batch_rows_count", {"model": model, "version": "1"}
        )
        or 0.0
    )


def test_tasks_share_their_examples_and_one_run_of_the_graph(server: ModelServer, channel: Grpc) -> None:
    request = protos.MultiInferenceRequest()
    for signature, method in (("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        fill_spec(task.model_spec, "half_plus_two", signature=signature)
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(80.0)

    ran = runs_of(server, "half_plus_two")
    first, second = channel.call("PredictionService/MultiInference", request).results

    assert runs_of(server, "half_plus_two") == ran + 1
    assert first.regression_result.regressions[0].value == 42
    assert second.classification_result.classifications[0].classes[0].score == 42


def test_strings_are_bytes_of_any_kind(channel: Grpc, rest: Rest) -> None:
    sent = strings(b"\xff\x00\xfe", b"", "é".encode())

    got = channel.predict(predict_request("strings", {"text": sent}))["text"]

    assert got.tolist() == sent.tolist()
    body = {"signature_name": "upper", "instances": ["ship", {"b64": "cmFtcA=="}]}
    assert rest.predict("strings", body).json == {"predictions": ["SHIP", "RAMP"]}


def test_every_type_is_carried_both_ways(channel: Grpc) -> None:
    definition = channel.call(
        "PredictionService/GetModelMetadata",
        protos.GetModelMetadataRequest(
            model_spec=protos.ModelSpec(name="many_types"), metadata_field=["signature_def"]
        ),
    )
    signatures = protos.SignatureDefMap()
    definition.metadata["signature_def"].Unpack(signatures)
    sent = {}
    for alias, info in signatures.signature_def["everything"].inputs.items():
        tensor = protos.TensorProto(dtype=info.dtype)
        tensor.tensor_shape.dim.add(size=2)
        if alias == "string":
            tensor.string_val.extend([b"a", b"\xff"])
        sent[alias] = tensor

    outputs = channel.call(
        "PredictionService/Predict", predict_request("many_types", sent, signature="everything")
    ).outputs

    assert {alias: proto.dtype for alias, proto in outputs.items()} == {alias: sent[alias].dtype for alias in sent}
    assert list(outputs["string"].string_val) == [b"a", b"\xff"]


def test_variables_keep_their_state_between_requests(channel: Grpc) -> None:
    channel.predict(predict_request("counter", signature="reset"))
    for _ in range(3):
        channel.predict(predict_request("counter", {"delta": 2.0}, signature="add"))

    assert channel.predict(predict_request("counter"))["count"].tolist() == 6


def test_tables_find_their_assets_in_the_version(channel: Grpc) -> None:
    words = strings(b"ship", b"ramp", b"unknown")

    assert channel.predict(predict_request("vocabulary", {"words": words}))["ids"].tolist() == [0, 2, -1]


def test_requests_without_end_leave_the_model_and_others_answering(saved_models: Path, tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(config_text({name: saved_models / name for name in ("slow", "counter")}))
    config = ServerConfig(
        model_config_file=file, grpc_port=0, rest_port=0, rest_threads=2, rest_timeout_s=1.5, drain_s=1
    )

    def endless(over_rest: bool) -> str:
        if over_rest:
            with rest_to(running) as rest:
                return str(rest.predict("slow", {"instances": [[1e9]]}).status)
        with grpc_to(running) as channel:
            request = predict_request("slow", {"x": [[1e9]]})
            return channel.refusal("PredictionService/Predict", request, timeout_s=1.5).code

    with ModelServer(config) as running, ThreadPoolExecutor(8) as callers:
        ended = list(callers.map(endless, [True] * 5 + [False] * 3))
        with grpc_to(running) as channel, rest_to(running) as rest:
            until(lambda: rest.predict("slow", {"instances": [[3.0]]}).status == 200, 60)
            assert channel.predict(predict_request("slow", {"x": [[3.0]]}), timeout_s=60)["y"].tolist() == [[6]]
            assert channel.predict(predict_request("counter"), timeout_s=60)["count"].tolist() == 0

    assert ended == ["504"] * 5 + ["DEADLINE_EXCEEDED"] * 3
