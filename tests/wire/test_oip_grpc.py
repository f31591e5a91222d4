from contextlib import suppress
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.errors import BadInput, ServingError
from serving.wire.dtypes import COMPLEX64, COMPLEX128, KINDS
from serving.wire.oip import DATATYPES, InferRequest, datatype, read_grpc, write_grpc
from serving.wire.protos import ModelInferRequest, ModelInferResponse
from tests.wire.strategies import arrays, bounded, damaged, same, strings

CARRIED = KINDS.keys() - {COMPLEX64, COMPLEX128}


def answer(array: NDArray[Any], *, raw: bool) -> ModelInferResponse:
    request = InferRequest(inputs={}, binary_by_default=raw)
    return write_grpc({"y": array}, request=request, model_name="m", model_version="1")


def asked_again(response: ModelInferResponse) -> ModelInferRequest:
    """The answer's tensors as a request: both have the same fields for them."""
    request = ModelInferRequest(model_name="m", raw_input_contents=response.raw_output_contents)
    for tensor in response.outputs:
        request.inputs.add().ParseFromString(tensor.SerializeToString())
    return request


def tensor(datatype: str, shape: list[int], **contents: Any) -> ModelInferRequest:
    request = ModelInferRequest()
    request.inputs.add(name="x", datatype=datatype, shape=shape, contents=contents or None)
    return request


@given(arrays(CARRIED), st.booleans())
@bounded
def test_every_tensor_survives_typed_and_raw_contents(array: NDArray[Any], raw: bool) -> None:
    response = answer(array, raw=raw)

    assert bool(response.raw_output_contents) >= raw
    assert same(read_grpc(asked_again(response)).inputs["y"], array)


@given(damaged(arrays(CARRIED).map(lambda array: asked_again(answer(array, raw=True)).SerializeToString())))
@bounded
def test_a_damaged_message_is_a_request_or_an_error_of_the_family(content: bytes) -> None:
    with suppress(ServingError, DecodeError):  # the second is protobuf's, before anything here is asked
        read_grpc(ModelInferRequest.FromString(content))


@given(
    st.sampled_from([*DATATYPES, "TEXT"]),
    st.lists(st.integers(-2, 2**62) | st.integers(0, 3), max_size=5),
    st.binary(max_size=24),
    st.booleans(),
)
@bounded
def test_any_shape_and_content_is_a_tensor_or_an_error_of_the_family(
    kind: str, shape: list[int], content: bytes, raw: bool
) -> None:
    request = tensor(kind, shape, **({} if raw else {"int_contents": list(content)}))
    if raw:
        request.raw_input_contents.append(content)
    with suppress(ServingError):
        read_grpc(request)


def test_raw_contents_are_read_where_they_lie() -> None:
    request = tensor("FP32", [2])
    request.raw_input_contents.append(np.array([1, 2], np.float32).tobytes())

    array = read_grpc(request).inputs["x"]

    assert array.tolist() == [1, 2]
    assert not array.flags.writeable


def test_raw_is_answered_raw_and_typed_is_answered_typed() -> None:
    typed = tensor("INT32", [1], int_contents=[5])
    raw = tensor("INT32", [1])
    raw.raw_input_contents.append(b"\x05\0\0\0")

    for request, answered_raw in ((typed, False), (raw, True)):
        request.id = "7"
        read = read_grpc(request)
        response = write_grpc(read.inputs, request=read, model_name="m", model_version="3")
        assert bool(response.raw_output_contents) is answered_raw
        assert (response.id, response.model_name, response.model_version) == ("7", "m", "3")
        assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("INT32", [1])


def test_half_precision_is_always_raw_and_takes_the_others_along() -> None:
    outputs = {"a": np.zeros(1, ml_dtypes.bfloat16), "b": np.zeros(1, np.float32)}

    response = write_grpc(outputs, request=InferRequest(inputs={}), model_name="m", model_version="1")

    assert [len(content) for content in response.raw_output_contents] == [2, 4]
    with pytest.raises(BadInput, match="only be sent in raw_input_contents"):
        read_grpc(tensor("FP16", [1], fp32_contents=[1]))


def test_the_wanted_outputs_and_nothing_of_the_parameters_are_kept() -> None:
    request = tensor("BOOL", [], bool_contents=[True])
    request.outputs.add(name="b").parameters["classification"].int64_param = 3
    request.outputs.add(name="a")
    request.parameters["priority"].int64_param = 1

    assert read_grpc(request) == InferRequest(inputs={"x": np.array(True)}, outputs=("b", "a"))


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (tensor("FP32", [2], fp32_contents=[1]), "Input 'x': 1 values were sent"),
        (tensor("FP32", [-1], fp32_contents=[1]), "Input 'x': The tensor's shape [-1] has a negative dimension"),
        (tensor("FP32", [2**40] * 3, fp32_contents=[1]), "Input 'x': The tensor's shape"),
        (tensor("FP32", [1], int_contents=[1]), "FP32 values belong into fp32_contents, not into int_contents"),
        (tensor("UINT8", [1], uint_contents=[256]), "Input 'x': a value does not fit into uint8"),
        (tensor("INT8", [1], int_contents=[-129]), "Input 'x': a value does not fit into int8"),
        (tensor("STRING", [1], bytes_contents=[b"a"]), "Unknown datatype 'STRING'; use one of BOOL, "),
    ],
)
def test_a_bad_tensor_is_named(request_: ModelInferRequest, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_grpc(request_)

    assert text in refused.value.message


def test_raw_contents_must_fill_the_shape() -> None:
    for kind, content, text in (
        ("FP32", b"123", "has 3 bytes, but its shape [1] wants 4"),
        ("BYTES", b"\x05\0\0\0ab", "ends in the middle"),
        ("BYTES", b"\x05\0", "ends in the middle"),
        ("BYTES", b"", "0 values were sent"),
    ):
        request = tensor(kind, [1])
        request.raw_input_contents.append(content)
        with pytest.raises(BadInput) as refused:
            read_grpc(request)
        assert text in refused.value.message


def test_inputs_and_contents_must_match_one_to_one() -> None:
    twice = tensor("BOOL", [], bool_contents=[True])
    twice.inputs.append(twice.inputs[0])
    with pytest.raises(BadInput, match="twice"):
        read_grpc(twice)

    both = tensor("BOOL", [], bool_contents=[True])
    both.raw_input_contents.append(b"\1")
    with pytest.raises(BadInput, match="as well as"):
        read_grpc(both)

    both.raw_input_contents.append(b"\1")
    with pytest.raises(BadInput, match="1 inputs were sent with 2 raw_input_contents"):
        read_grpc(both)


def test_complex_numbers_have_no_datatype() -> None:
    with pytest.raises(BadInput, match="complex64"):
        answer(np.zeros(1, np.complex64), raw=True)
    assert datatype(strings([b"a"], (1,)).dtype) == "BYTES"
