"""Section 3 of the protocol: Predict over gRPC, on real SavedModels."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serving.errors import ServingError
from serving.modelserver.calls.predict import check_method_name, feeds_of
from serving.modelserver.runtimes.protocol import Signature, TensorSpec
from serving.wire import protos, tensors
from tests.modelserver.asking import Grpc, Refusal, predict_request

PAIR = [[1.0, 2.0], [3.0, 4.0]]


def test_named_inputs_go_in_and_every_output_comes_out(grpc: Grpc) -> None:
    outputs = grpc.predict(predict_request("two_inputs", {"a": PAIR, "b": PAIR}))

    assert {alias: array.tolist() for alias, array in outputs.items()} == {
        "sum": [[2, 4], [6, 8]],
        "product": [[1, 4], [9, 16]],
        "same": PAIR,
        "again": PAIR,
    }


@pytest.mark.parametrize(
    ("model", "signature", "named"),
    [("half_plus_two", "unicorn", "unicorn"), ("no_default", "", "serving_default")],
)
def test_an_unknown_signature_is_a_failed_precondition(grpc: Grpc, model: str, signature: str, named: str) -> None:
    refusal = grpc.cannot_predict(predict_request(model, {"x": [1.0]}, signature=signature))

    assert refusal == Refusal("FAILED_PRECONDITION", f'Serving signature key "{named}" not found.')


def test_a_signature_is_called_by_its_name(grpc: Grpc) -> None:
    request = predict_request("no_default", {"x": [1.0]}, signature="other")

    assert grpc.predict(request)["y"].tolist() == [3]
    assert grpc.call("PredictionService/Predict", request).model_spec.signature_name == "other"


def test_predict_runs_regress_and_classify_signatures_too(grpc: Grpc) -> None:
    request = predict_request("half_plus_two", {"inputs": [[4.0]]}, signature="regress_x2_to_y3")

    assert grpc.predict(request)["outputs"].tolist() == [[5.0]]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        pytest.param(
            ("a",),
            "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
            "Missing but required: {b}.",
            id="too few",
        ),
        pytest.param(
            ("a", "b", "d", "c"),
            "input size does not match signature: 4!=2 len({a,b,c,d}) != len({a,b}). Sent extra: {c,d}. "
            "Missing but required: {}.",
            id="too many",
        ),
        pytest.param(
            (),
            "input size does not match signature: 0!=2 len({}) != len({a,b}). Sent extra: {}. "
            "Missing but required: {a,b}.",
            id="none",
        ),
    ],
)
def test_a_wrong_number_of_inputs_names_them_all(grpc: Grpc, sent: tuple[str, ...], text: str) -> None:
    refusal = grpc.cannot_predict(predict_request("two_inputs", dict.fromkeys(sent, PAIR)))

    assert refusal == Refusal("INVALID_ARGUMENT", text)


def test_a_wrong_name_names_the_one_that_is_missing(grpc: Grpc) -> None:
    refusal = grpc.cannot_predict(predict_request("two_inputs", {"a": PAIR, "c": PAIR}))

    assert refusal.code == "INVALID_ARGUMENT"
    assert refusal.details.startswith(
        "Signature input alias: b(feed name: b:0) not found in request and no default value provided."
    )


def test_defaults_of_a_signature_fill_what_is_left_out(grpc: Grpc) -> None:
    outputs = grpc.predict(predict_request("two_inputs", {"a": PAIR[:1]}, signature="defaulted"))

    assert outputs["sum"].tolist() == [[11, 12]]
    refusal = grpc.cannot_predict(predict_request("two_inputs", {"b": PAIR[:1]}, signature="defaulted"))
    assert refusal.details.startswith("Signature input alias: a(feed name: ")


def test_an_extra_name_beside_defaults_is_an_invalid_name() -> None:
    spec = TensorSpec(1, (-1,), "t:0")
    ten = np.array([10], np.float32)
    signature = Signature("s", {"a": spec, "b": spec}, {"y": spec}, defaults={"b": ten})

    with pytest.raises(ServingError, match=r"Inputs contains invalid name\. Used request inputs: \{a\}\."):
        feeds_of(signature, {"a": ten, "c": ten})


def test_a_signature_without_inputs_is_called_with_none(grpc: Grpc) -> None:
    assert grpc.predict(predict_request("no_inputs"))["numbers"].tolist() == [2, 4, 6]
    assert grpc.cannot_predict(predict_request("no_inputs", {"x": [1.0]})).code == "INVALID_ARGUMENT"
    assert grpc.cannot_predict(predict_request("two_inputs")).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        pytest.param({"float_val": [1, 2, 3]}, [1, 2, 3], id="typed values"),
        pytest.param({"tensor_content": np.array([1, 2, 3], np.float32).tobytes()}, [1, 2, 3], id="content"),
        pytest.param({"float_val": [1, 2]}, [1, 2, 2], id="the last value repeats"),
        pytest.param({}, [0, 0, 0], id="nothing is zeros"),
        pytest.param({"float_val": [1, 2, 3, 4]}, [1, 2, 3], id="a surplus is dropped"),
    ],
)
def test_a_tensor_is_read_as_tensorflow_reads_it(grpc: Grpc, proto: Mapping[str, Any], expected: list[float]) -> None:
    tensor = protos.TensorProto(dtype=1, **proto)
    tensor.tensor_shape.dim.add(size=3)

    outputs = grpc.predict(predict_request("no_default", {"x": tensor}, signature="other"))

    assert outputs["y"].tolist() == [3 * value for value in expected]


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        pytest.param({"dtype": 1, "tensor_content": b"12345"}, [3], id="content of a wrong size"),
        pytest.param({"dtype": 1}, [-1], id="a negative dimension"),
        pytest.param({"dtype": 1}, [2**40, 2**20], id="a huge shape"),
        pytest.param({"dtype": 20}, [1], id="a resource"),
        pytest.param({"dtype": 9999}, [1], id="an unknown type"),
        pytest.param({"dtype": 0}, [1], id="no type"),
        pytest.param({"dtype": 101, "float_val": [1]}, [1], id="a reference"),
    ],
)
def test_a_tensor_that_cannot_be_read_is_named(grpc: Grpc, fields: dict[str, Any], sizes: list[int]) -> None:
    tensor = protos.TensorProto(**fields)
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)

    refusal = grpc.cannot_predict(predict_request("half_plus_two", {"x": tensor}))

    assert refusal == Refusal("INVALID_ARGUMENT", "tensor parsing error: x")


@pytest.mark.parametrize("shape", [(3,), (), (2, 2), (1, 2, 3)], ids=str)
def test_shapes_of_the_signature_are_not_enforced(grpc: Grpc, shape: tuple[int, ...]) -> None:
    sent = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)

    outputs = grpc.predict(predict_request("half_plus_two", {"x": sent}))

    assert outputs["y"].shape == shape
    assert np.array_equal(outputs["y"], sent / 2 + 2)


def test_a_shape_that_the_graph_refuses_does_not_damage_the_model(grpc: Grpc) -> None:
    for _ in range(3):
        refusal = grpc.cannot_predict(predict_request("tiny_image", {"image": np.zeros((1, 7, 5, 2), np.uint8)}))
        assert refusal.code == "INVALID_ARGUMENT"
        outputs = grpc.predict(predict_request("tiny_image", {"image": np.zeros((1, 32, 32, 3), np.uint8)}))
        assert outputs["probabilities"].shape == (1, 3)


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.float64, "double"), (np.int32, "int32"), (np.object_, "string"), (np.bool_, "bool")]
)
def test_types_are_enforced_and_never_cast(grpc: Grpc, dtype: Any, name: str) -> None:
    sent = np.array([b"1"], np.object_) if dtype is np.object_ else np.ones(1, dtype)

    refusal = grpc.cannot_predict(predict_request("half_plus_two", {"x": sent}))

    assert refusal.code == "INVALID_ARGUMENT"
    assert f"to be float but {name} is provided" in refusal.details


def test_zero_rows_are_a_batch(grpc: Grpc) -> None:
    assert grpc.predict(predict_request("half_plus_two", {"x": np.zeros((0, 1), np.float32)}))["y"].shape == (0, 1)


def test_a_filter_chooses_the_outputs(grpc: Grpc) -> None:
    request = predict_request("two_inputs", {"a": PAIR, "b": PAIR}, outputs=("product", "same"))

    assert grpc.predict(request).keys() == {"product", "same"}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            ("sum", "unicorn"),
            "output tensor alias not found in signature: unicorn Outputs expected to be in the set "
            "{again,product,same,sum}.",
        ),
        (("sum", "sum"), "duplicate output tensor alias: sum"),
    ],
)
def test_a_filter_that_does_not_fit_is_refused(grpc: Grpc, wanted: tuple[str, ...], text: str) -> None:
    refusal = grpc.cannot_predict(predict_request("two_inputs", {"a": PAIR, "b": PAIR}, outputs=wanted))

    assert refusal == Refusal("INVALID_ARGUMENT", text)


def test_outputs_travel_in_their_typed_fields(grpc: Grpc) -> None:
    proto = grpc.call("PredictionService/Predict", predict_request("half_plus_two", {"x": [1.0, 2.0]})).outputs["y"]

    assert list(proto.float_val) == [2.5, 3.0]
    assert proto.tensor_content == b""


def test_an_output_of_rank_zero_keeps_its_empty_shape(grpc: Grpc) -> None:
    proto = grpc.call("PredictionService/Predict", predict_request("scalar_out", {"x": PAIR})).outputs["mean"]

    assert list(proto.float_val) == [2.5]
    assert len(proto.tensor_shape.dim) == 0
    assert not proto.tensor_shape.unknown_rank


def test_every_numeric_type_is_carried_both_ways(grpc: Grpc) -> None:
    integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    sent = {name: np.array([0, 1, 2], name) for name in ("float16", "float32", "float64", *integers)}
    sent |= {"bfloat16": np.array([0, 1, 2], ml_dtypes.bfloat16), "bool": np.array([True, False, True])}

    outputs = grpc.predict(predict_request("many_types", sent))

    assert {name: array.dtype for name, array in outputs.items()} == {name: array.dtype for name, array in sent.items()}
    assert all(np.array_equal(outputs[name], sent[name]) for name in sent)


def test_strings_are_bytes_and_never_decoded(grpc: Grpc) -> None:
    proto = grpc.call(
        "PredictionService/Predict", predict_request("tiny_image", {"request": np.zeros(2, np.int32)}, signature="card")
    ).outputs["card"]

    assert proto.dtype == 7
    assert len(proto.string_val) == 2
    assert all(isinstance(value, bytes) for value in proto.string_val)


def test_a_text_model_takes_strings_without_tensorflow(grpc: Grpc) -> None:
    texts = tensors.to_proto(np.array([b"a fine ship", b"\xff\xfe not UTF-8"], np.object_))

    assert grpc.predict(predict_request("tiny_text", {"text": texts}))["probabilities"].shape == (2, 2)


def test_a_method_name_counts_only_where_the_server_was_told_to_check() -> None:
    odd = Signature("s", {}, {}, "my/method")

    with pytest.raises(ServingError, match="Expected prediction signature method_name to be one of") as caught:
        check_method_name(odd)
    assert caught.value.code.name == "INTERNAL"
    for kind in ("predict", "classify", "regress"):
        check_method_name(Signature("s", {}, {}, f"tensorflow/serving/{kind}"))
