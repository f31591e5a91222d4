"""Section 4.4 of the protocol: several classifications and regressions of the same examples."""

import pytest

from serving.wire import protos
from tests.modelserver.asking import Grpc, Refusal, Rest
from tests.modelserver.test_classify_regress import fill

MULTI = "PredictionService/MultiInference"
C, R = "tensorflow/serving/classify", "tensorflow/serving/regress"

Task = tuple[str, str, str]


def asked(*tasks: Task, count: int = 2) -> protos.MultiInferenceRequest:
    """Tasks of model, signature and method."""
    request = protos.MultiInferenceRequest()
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
    fill(request.input, count)
    return request


def runs_of(rest: Rest) -> int:
    """Runs that MultiInference has cost so far, as the metrics count them."""
    return figure(rest, ':tensorflow:serving:runtime_latency_count{model_name="classifier",API="MultiInference"')


def examples_of(rest: Rest) -> int:
    """Examples that MultiInference has been sent so far."""
    return figure(rest, ':tensorflow:serving:request_example_count_total{model="classifier"')


def figure(rest: Rest, beginning: str) -> int:
    lines = rest.get("/monitoring/prometheus/metrics").body.decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(beginning))


def test_one_run_answers_all_tasks_in_their_order_each_with_its_spec(stand_in_grpc: Grpc, stand_in_rest: Rest) -> None:
    request = asked(("classifier", "regress", R), ("classifier", "", C))

    ran, examples = runs_of(stand_in_rest), examples_of(stand_in_rest)
    first, second = stand_in_grpc.call(MULTI, request).results

    assert runs_of(stand_in_rest) == ran + 1
    assert examples_of(stand_in_rest) == examples + 2
    assert [regression.value for regression in first.regression_result.regressions] == [0.125, 0.375]
    assert len(second.classification_result.classifications) == 2
    assert [result.model_spec.signature_name for result in (first, second)] == ["regress", "serving_default"]
    assert {(result.model_spec.name, result.model_spec.version.value) for result in (first, second)} == {
        ("classifier", 1)
    }


@pytest.mark.parametrize(
    ("tasks", "code", "text"),
    [
        pytest.param((), "INVALID_ARGUMENT", "ModelSpec has no name specified.", id="no tasks"),
        pytest.param(
            (("classifier", "", C), ("", "regress", R)),
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
            id="a task without a name",
        ),
        pytest.param(
            (("classifier", "", C), ("doubler", "", C)),
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            id="two models",
        ),
        pytest.param(
            (("classifier", "", C), ("classifier", "serving_default", C)),
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: serving_default",
            id="a signature twice",
        ),
        pytest.param(
            (("classifier", "unicorn", C),),
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: unicorn",
            id="an unknown signature",
        ),
        pytest.param(
            (("classifier", "", "tensorflow/serving/predict"),),
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
            id="another method",
        ),
        pytest.param(
            (("classifier", "regress", R), ("classifier", "wide", R)),
            "INVALID_ARGUMENT",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
            id="a result of a wrong shape",
        ),
        pytest.param(
            (("unicorn", "", C),), "NOT_FOUND", "Servable not found for request: Latest(unicorn)", id="no such model"
        ),
    ],
)
def test_tasks_that_do_not_fit_are_refused(stand_in_grpc: Grpc, tasks: tuple[Task, ...], code: str, text: str) -> None:
    assert stand_in_grpc.refusal(MULTI, asked(*tasks)) == Refusal(code, text)


def test_a_first_task_without_a_spec_has_no_name(stand_in_grpc: Grpc) -> None:
    request = protos.MultiInferenceRequest(tasks=[protos.InferenceTask(method_name=C)])

    assert stand_in_grpc.refusal(MULTI, request) == Refusal("INVALID_ARGUMENT", "ModelSpec has no name specified.")


def test_no_examples_are_an_empty_input(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.refusal(MULTI, asked(("classifier", "", C), count=0))

    assert refusal == Refusal("INVALID_ARGUMENT", "Input is empty.")
