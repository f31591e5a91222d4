"""Section 2 of the protocol: which model, version and label a request means."""

import numpy as np
import pytest

from serving.modelserver.calls import predict
from serving.modelserver.server import ModelServer
from serving.wire import protos
from tests.modelserver.asking import Grpc, Refusal, Rest, predict_request

X = {"x": [1.0]}


def test_a_request_without_a_spec_is_told_so(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.cannot_predict(protos.PredictRequest())

    assert refusal == Refusal("INVALID_ARGUMENT", "Missing ModelSpec")


def test_a_spec_without_a_name_is_told_so(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.cannot_predict(predict_request("", X))

    assert refusal == Refusal("INVALID_ARGUMENT", "ModelSpec has no name specified.")


@pytest.mark.parametrize("model", ["doubler", "unicorn"])
def test_an_unknown_label_is_told_before_the_model_is_looked_up(stand_in_grpc: Grpc, model: str) -> None:
    refusal = stand_in_grpc.cannot_predict(predict_request(model, X, label="nightly"))

    assert refusal == Refusal("INVALID_ARGUMENT", "Unrecognized servable version label: nightly")


def test_an_unknown_model_is_not_found(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.cannot_predict(predict_request("unicorn", X))

    assert refusal == Refusal("NOT_FOUND", "Servable not found for request: Latest(unicorn)")


def test_an_unknown_version_is_not_found(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.cannot_predict(predict_request("doubler", X, version=9))

    assert refusal == Refusal("NOT_FOUND", "Servable not found for request: Specific(doubler, 9)")


@pytest.mark.parametrize(
    ("version", "label", "answering"),
    [
        pytest.param(None, None, 3, id="the highest, if none is named"),
        pytest.param(1, None, 1, id="the one named"),
        pytest.param(None, "stable", 2, id="the one labeled"),
    ],
)
def test_the_version_meant_answers_and_says_which_it_is(
    stand_in_grpc: Grpc, version: int | None, label: str | None, answering: int
) -> None:
    request = predict_request("doubler", X, version=version, label=label)

    spec = stand_in_grpc.call("PredictionService/Predict", request).model_spec

    assert (spec.name, spec.version.value, spec.signature_name) == ("doubler", answering, "serving_default")
    assert spec.WhichOneof("version_choice") == "version"


def test_callers_in_the_process_get_the_same_without_any_message(stand_in_server: ModelServer) -> None:
    version, outputs = predict.run(stand_in_server.manager, "doubler", None, "", {"x": np.array([3], np.float32)})

    assert version == 3
    assert outputs["y"].tolist() == [6]


def test_rest_takes_versions_and_labels_in_the_path(stand_in_rest: Rest) -> None:
    for place in ("", "/versions/1", "/versions/0002", "/labels/stable"):
        answer = stand_in_rest.post(f"/v1/models/doubler{place}:predict", {"instances": [1.0]})
        assert (answer.status, answer.json) == (200, {"predictions": [2.0]})


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/models/unicorn", 404, "Servable not found for request: Latest(unicorn)"),
        ("/v1/models/doubler/versions/9", 404, "Servable not found for request: Specific(doubler, 9)"),
        ("/v1/models/doubler/labels/nightly", 400, "Unrecognized servable version label: nightly"),
    ],
)
def test_rest_uses_the_same_words(stand_in_rest: Rest, path: str, status: int, text: str) -> None:
    answer = stand_in_rest.post(f"{path}:predict", {"instances": [1.0]})

    assert (answer.status, answer.error) == (status, text)
