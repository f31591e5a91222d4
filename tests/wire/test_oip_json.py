import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.errors import BadInput, ServingError
from serving.wire.dtypes import COMPLEX64, COMPLEX128, KINDS, STRING
from serving.wire.oip import DATATYPES, InferRequest, read_json, write_json
from tests.wire.strategies import arrays, bounded, damaged, same, strings

CARRIED = KINDS.keys() - {COMPLEX64, COMPLEX128}
ASKED = InferRequest(inputs={}, id="7")


def answer(array: NDArray[Any], *, binary: bool = False) -> tuple[bytes, int | None]:
    request = InferRequest(inputs={}, binary_by_default=binary)
    return write_json({"y": array}, request=request, model_name="m", model_version="1")


def asked_again(body: bytes) -> bytes:
    """The answer's tensors as a request; the name has the same length, so that raw data stay in place."""
    return body.replace(b'"outputs": ', b'"inputs":  ', 1)


def body(**tensor: Any) -> bytes:
    return json.dumps({"inputs": [{"name": "x", **tensor}]}).encode()


@given(arrays(CARRIED - {STRING}))
@bounded
def test_every_tensor_survives_json(array: NDArray[Any]) -> None:
    text, length = answer(array)

    assert length is None
    assert same(read_json(asked_again(text)).inputs["y"], array)


@given(st.lists(st.text(max_size=6), max_size=5))
@bounded
def test_every_text_survives_json(values: list[str]) -> None:
    array = strings([value.encode() for value in values], (len(values), 1))

    assert same(read_json(asked_again(answer(array)[0])).inputs["y"], array)


@given(arrays(CARRIED))
@bounded
def test_every_tensor_survives_binary_data(array: NDArray[Any]) -> None:
    text, length = answer(array, binary=True)

    assert same(read_json(asked_again(text), length).inputs["y"], array)


@given(damaged(arrays(CARRIED).map(lambda array: asked_again(answer(array, binary=True)[0]))), st.integers(-1, 99))
@bounded
def test_a_damaged_body_is_a_request_or_an_error_of_the_family(content: bytes, length: int) -> None:
    with suppress(ServingError):
        read_json(content, length)


@given(
    st.dictionaries(
        st.sampled_from(["inputs", "outputs", "id", "parameters"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["x", *DATATYPES]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), inner)
            ),
            max_leaves=12,
        ),
    )
)
@bounded
def test_any_document_is_a_request_or_an_error_of_the_family(document: dict[str, Any]) -> None:
    with suppress(ServingError):
        read_json(json.dumps(document).encode())


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]], ids=["flat", "nested"])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    array = read_json(body(shape=[2, 2], datatype="UINT8", data=data)).inputs["x"]

    assert array.dtype == np.uint8
    assert array.tolist() == [[1, 2], [3, 4]]


def test_an_answer_has_flat_data_and_the_id() -> None:
    outputs = {"p": np.array([[0.5, 2.2]], np.float32), "t": strings([b"a"], (1,))}

    text, _ = write_json(outputs, request=ASKED, model_name="m", model_version="3")

    assert json.loads(text) == {
        "model_name": "m",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 2.2]},
            {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["a"]},
        ],
    }


def test_raw_tensors_follow_the_json_in_the_order_of_the_inputs() -> None:
    head = {
        "inputs": [
            {"name": "a", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}},
            {"name": "b", "shape": [1], "datatype": "FP32", "data": [1.5]},
            {"name": "c", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9}},
        ]
    }
    text = json.dumps(head).encode()
    raw = np.array([1, -2], np.int16).tobytes() + b"\1\0\0\0x\0\0\0\0"

    inputs = read_json(text + raw, len(text)).inputs

    assert inputs["a"].tolist() == [1, -2]
    assert not inputs["a"].flags.writeable
    assert inputs["b"].tolist() == [1.5]
    assert inputs["c"].tolist() == [b"x", b""]


def test_each_output_is_answered_as_it_was_asked_for() -> None:
    request = read_json(
        b'{"inputs": [], "parameters": {"binary_data_output": true, "other": 1},'
        b' "outputs": [{"name": "a"}, {"name": "b", "parameters": {"binary_data": false}}]}'
    )
    outputs = {"a": np.array([1], np.int8), "b": np.array([2], np.int8)}

    text, length = write_json(outputs, request=request, model_name="m", model_version="1")

    assert request.outputs == ("a", "b")
    assert length == len(text) - 1
    assert text[length:] == b"\1"
    a, b = json.loads(text[:length])["outputs"]
    assert a == {"name": "a", "datatype": "INT8", "shape": [1], "parameters": {"binary_data_size": 1}}
    assert b == {"name": "b", "datatype": "INT8", "shape": [1], "data": [2]}


def test_bytes_that_are_not_text_must_be_asked_for_as_binary() -> None:
    with pytest.raises(BadInput, match="binary_data: true"):
        answer(strings([b"\xff"], (1,)))


def test_numbers_that_json_lacks_stand_bare() -> None:
    text, _ = answer(np.array([np.nan, np.inf], np.float16))

    assert b'"data": [NaN, Infinity]' in text


def test_an_optional_member_that_is_null_counts_as_left_out() -> None:
    tensor = {"name": "x", "datatype": "BOOL", "shape": [1], "data": [True]}
    bare = {"inputs": [tensor], "outputs": [{"name": "y"}]}
    for with_nulls in (
        {**bare, "id": None, "parameters": None},
        {**bare, "parameters": {"binary_data_output": None}},
        {**bare, "inputs": [{**tensor, "parameters": None}], "outputs": [{"name": "y", "parameters": None}]},
        {
            **bare,
            "inputs": [{**tensor, "parameters": {"binary_data_size": None}}],
            "outputs": [{"name": "y", "parameters": {"binary_data": None}}],
        },
    ):
        assert read_json(json.dumps(with_nulls).encode()) == read_json(json.dumps(bare).encode())

    assert read_json(json.dumps({"inputs": [], "outputs": None}).encode()) == InferRequest(inputs={})
    binary = {**tensor, "data": None, "parameters": {"binary_data_size": 1}}
    document = json.dumps({"inputs": [binary]}).encode()
    assert read_json(document + b"\1", len(document)).inputs["x"].tolist() == [True]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{}", "'inputs' must be there and be a list"),
        (b'{"inputs": [1]}', "Every element of 'inputs' must be an object"),
        (b'{"inputs": [{}]}', "'name' must be there and be a string"),
        (b'{"inputs": [], "id": 5}', "'id' must be there and be a string"),
        (b'{"inputs": [], "parameters": {"binary_data_output": "false"}}', "binary_data_output must be true or false"),
        (
            b'{"inputs": [], "outputs": [{"name": "y", "parameters": {"binary_data": "no"}}]}',
            "binary_data must be true or false",
        ),
        (body(shape=[1], datatype="FP32"), "neither 'data' nor the parameter binary_data_size"),
        (body(shape=[1], datatype="FP32", data=None), "neither 'data' nor the parameter binary_data_size"),
        (body(shape=[2], datatype="FP32", data=[1]), "Input 'x': 1 values were sent"),
        (body(shape=[1.0], datatype="FP32", data=[1]), "'shape' must be a list of whole numbers"),
        (body(shape=[True], datatype="FP32", data=[1]), "'shape' must be a list of whole numbers"),
        (body(shape=[10**30], datatype="FP32", data=[1]), "'shape' must be a list of whole numbers"),
        (body(shape=[2**62], datatype="FP32", data=[1]), "too large"),
        (body(shape=[-1], datatype="FP32", data=[1]), "negative dimension"),
        (body(shape=[1], datatype="FP8", data=[1]), "Unknown datatype 'FP8'"),
        (body(shape=[1], datatype="UINT8", data=[256]), "a value does not fit into UINT8"),
        (body(shape=[1], datatype="UINT8", data=[-1]), "'data' must be a list of UINT8 values"),
        (body(shape=[1], datatype="BOOL", data=[1]), "'data' must be a list of BOOL values"),
        (body(shape=[1], datatype="INT32", data=[1.0]), "'data' must be a list of INT32 values"),
        (body(shape=[2], datatype="INT32", data=[[1], 2]), "'data' must be a list of INT32 values"),
        (body(shape=[1], datatype="FP32", parameters={"binary_data_size": 4}), "0 are left after the JSON"),
        (body(shape=[1], datatype="FP32", parameters={"binary_data_size": True}), "must be a number of bytes"),
        (b'{"inputs": [{"name": "x", "shape": [], "datatype": "BOOL", "data": true}] 1', "JSON Parse error"),
    ],
)
def test_a_bad_request_is_explained(content: bytes, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_json(content)

    assert text in refused.value.message


def test_lengths_that_do_not_add_up_are_refused() -> None:
    text = b'{"inputs": []}'

    with pytest.raises(BadInput, match="3 bytes follow the last tensor"):
        read_json(text + b"abc", len(text))
    for length in (-1, 99):
        with pytest.raises(BadInput, match="Inference-Header-Content-Length"):
            read_json(text, length)


def test_an_input_may_not_stand_twice() -> None:
    one = {"name": "x", "shape": [], "datatype": "BOOL", "data": True}

    with pytest.raises(BadInput, match="twice"):
        read_json(json.dumps({"inputs": [one, one]}).encode())
