"""Section 4 of the protocol: Classify, Regress and MultiInference, on stand-ins that only count the examples."""

from typing import Any

import pytest

from serving.wire import protos
from tests.modelserver.asking import Grpc, Refusal, Rest, fill_spec

CLASSIFY, REGRESS = "PredictionService/Classify", "PredictionService/Regress"


def fill(target: Any, count: int = 2, *, context: bool = False) -> None:
    """Put so many examples into an Input."""
    kind = target.example_list_with_context if context else target.example_list
    kind.SetInParent()
    if context:
        kind.context.features.feature["b"].float_list.value.append(1.0)
    for index in range(count):
        kind.examples.add().features.feature["a"].float_list.value.append(index)


def asked(method: str, signature: str = "", count: int = 2, model: str = "classifier", **how: bool) -> Any:
    """A Classify or Regress request."""
    request = protos.ClassificationRequest() if method == CLASSIFY else protos.RegressionRequest()
    fill_spec(request.model_spec, model, signature=signature)
    fill(request.input, count, **how)
    return request


def test_classes_come_in_the_order_of_the_tensor(stand_in_grpc: Grpc) -> None:
    answer = stand_in_grpc.call(CLASSIFY, asked(CLASSIFY))

    first, second = answer.result.classifications
    assert [(one.label, one.score) for one in first.classes] == [("class 0", 0.125), ("class 1", 0.25)]
    assert [one.score for one in second.classes] == [0.375, 0.5]
    assert (answer.model_spec.version.value, answer.model_spec.signature_name) == (1, "serving_default")


@pytest.mark.parametrize(
    ("signature", "expected"),
    [("only_scores", ("", 0.125)), ("only_classes", ("class 0", 0.0))],
)
def test_a_classifier_may_have_one_output_only(
    stand_in_grpc: Grpc, signature: str, expected: tuple[str, float]
) -> None:
    answer = stand_in_grpc.call(CLASSIFY, asked(CLASSIFY, signature))

    first = answer.result.classifications[0].classes[0]
    assert (first.label, first.score) == expected


@pytest.mark.parametrize("signature", ["regress", "column"])
def test_regressions_come_in_the_order_of_the_request(stand_in_grpc: Grpc, signature: str) -> None:
    answer = stand_in_grpc.call(REGRESS, asked(REGRESS, signature, count=3))

    values = [regression.value for regression in answer.result.regressions]
    assert len(values) == 3
    assert values == sorted(values)
    assert answer.model_spec.signature_name == signature


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("unicorn", "No signature was found with the name: unicorn"),
        ("two_inputs", "Expected one input Tensor."),
        ("too_many", "Expected one or two output Tensors, found 3"),
        (
            "neither",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". ',
        ),
        ("flat_scores", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ("lost_row", "Expected classes output batch size of 2. Got: 3"),
        ("uneven", "Tensors class and score should match in dim_size(1). Got 3 vs. 2"),
        ("double_scores", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    ],
)
def test_what_is_no_classifier_is_refused(stand_in_grpc: Grpc, signature: str, text: str) -> None:
    refusal = stand_in_grpc.refusal(CLASSIFY, asked(CLASSIFY, signature))

    assert refusal.code == "INVALID_ARGUMENT"
    assert refusal.details.startswith(text)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("unicorn", "No signature was found with the name: unicorn"),
        ("two_inputs", "Expected one input Tensor."),
        ("serving_default", "Expected one output Tensor."),
        ("other_input", "No regression inputs found in SignatureDef: "),
        ("misnamed", "No regression outputs found in SignatureDef: "),
        (
            "wide",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        ),
        ("short", "Input batch size did not match output batch size: 2 vs. 3"),
        ("whole", "Expected output Tensor of DT_FLOAT.  Got: DT_INT32"),
    ],
)
def test_what_is_no_regression_is_refused(stand_in_grpc: Grpc, signature: str, text: str) -> None:
    refusal = stand_in_grpc.refusal(REGRESS, asked(REGRESS, signature))

    assert refusal.code == "INVALID_ARGUMENT"
    assert refusal.details.startswith(text)


@pytest.mark.parametrize("context", [False, True], ids=["no examples", "a context alone"])
@pytest.mark.parametrize("method", [CLASSIFY, REGRESS])
def test_no_examples_are_an_empty_input(stand_in_grpc: Grpc, method: str, context: bool) -> None:
    signature = "" if method == CLASSIFY else "regress"

    refusal = stand_in_grpc.refusal(method, asked(method, signature, count=0, context=context))

    assert refusal == Refusal("INVALID_ARGUMENT", "Input is empty.")


def test_an_input_of_no_kind_is_empty(stand_in_grpc: Grpc) -> None:
    request = protos.ClassificationRequest()
    fill_spec(request.model_spec, "classifier")

    assert stand_in_grpc.refusal(CLASSIFY, request) == Refusal("INVALID_ARGUMENT", "Input is empty.")


@pytest.mark.parametrize("method", [CLASSIFY, REGRESS])
def test_an_unknown_model_is_not_found(stand_in_grpc: Grpc, method: str) -> None:
    refusal = stand_in_grpc.refusal(method, asked(method, model="unicorn"))

    assert refusal == Refusal("NOT_FOUND", "Servable not found for request: Latest(unicorn)")


def test_rest_classify_lists_labels_with_scores(stand_in_rest: Rest) -> None:
    answer = stand_in_rest.post("/v1/models/classifier:classify", {"examples": [{"a": 1.0}, {"a": 2.0}]})

    assert answer.status == 200
    assert answer.json == {"results": [[["class 0", 0.125], ["class 1", 0.25]], [["class 0", 0.375], ["class 1", 0.5]]]}


def test_rest_regress_lists_values(stand_in_rest: Rest) -> None:
    body = {"signature_name": "regress", "context": {"b": 1.0}, "examples": [{"a": 1.0}, {"a": 2.0}]}

    answer = stand_in_rest.post("/v1/models/classifier:regress", body)

    assert (answer.status, answer.json) == (200, {"results": [0.125, 0.375]})


@pytest.mark.parametrize("verb", ["classify", "regress"])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"signature_name": "unicorn", "examples": [{}]}, "No signature was found with the name: unicorn"),
        ({}, "When method is classify, key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"a": [1, 2.0]}]}, "Unexpected element type in feature: a expecting type: int64"),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
        ({"examples": [{"a": 2**64 - 1}]}, "Feature: a has uint64_t element. Only int64_t is supported."),
    ],
)
def test_rest_refuses_what_is_no_example(stand_in_rest: Rest, verb: str, body: Any, text: str) -> None:
    answer = stand_in_rest.post(f"/v1/models/classifier:{verb}", body)

    assert answer.status == 400
    assert answer.error.endswith(text)
