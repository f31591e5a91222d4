from contextlib import suppress
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.errors import BadInput, OutOfRange, ServingError
from serving.wire.dtypes import BFLOAT16, BOOL, FLOAT, HALF, INT8, INT32, STRING, UINT8, enum_name
from serving.wire.protos import TensorProto
from serving.wire.tensors import data_type, dtype_name, from_proto, from_protos, numpy_dtype, to_proto
from tests.wire.strategies import arrays, bounded, damaged, same, strings


def proto(data_type: int, shape: list[int], **fields: Any) -> TensorProto:
    message = TensorProto(dtype=data_type, **fields)
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


@given(arrays())
@bounded
def test_every_tensor_survives_typed_fields(array: NDArray[Any]) -> None:
    message = to_proto(array)

    assert not message.tensor_content
    assert same(from_proto(TensorProto.FromString(message.SerializeToString())), array)


@given(arrays())
@bounded
def test_every_tensor_survives_tensor_content(array: NDArray[Any]) -> None:
    assert same(from_proto(to_proto(array, as_content=True)), array)


@given(damaged(arrays().map(lambda array: to_proto(array).SerializeToString())))
@bounded
def test_a_damaged_message_is_a_tensor_or_an_error_of_the_family(content: bytes) -> None:
    with suppress(ServingError, DecodeError):  # the second is protobuf's, before anything here is asked
        from_proto(TensorProto.FromString(content))


@given(st.integers(0, 40), st.lists(st.integers(-3, 2**62), max_size=6), st.binary(max_size=20))
@bounded
def test_any_type_shape_and_content_is_a_tensor_or_an_error_of_the_family(
    number: int, shape: list[int], content: bytes
) -> None:
    with suppress(ServingError):
        from_proto(proto(number, shape, tensor_content=content, float_val=[1, 2], int_val=[3]))


def test_a_short_field_repeats_its_last_value() -> None:
    assert from_proto(proto(FLOAT, [2, 2], float_val=[1, 2])).tolist() == [[1, 2], [2, 2]]
    assert from_proto(proto(STRING, [3], string_val=[b"a"])).tolist() == [b"a"] * 3


def test_an_empty_field_is_zeros_or_empty_strings() -> None:
    assert from_proto(proto(INT32, [2])).tolist() == [0, 0]
    assert from_proto(proto(FLOAT, [])).tolist() == 0.0
    assert from_proto(proto(STRING, [2])).tolist() == [b"", b""]


def test_surplus_values_are_dropped() -> None:
    assert from_proto(proto(UINT8, [2], int_val=[1, 2, 3])).tolist() == [1, 2]
    assert from_proto(proto(FLOAT, [0], float_val=[1])).shape == (0,)


def test_small_integers_wrap_as_a_cast_in_c_does() -> None:
    assert from_proto(proto(UINT8, [2], int_val=[256, -1])).tolist() == [0, 255]
    assert from_proto(proto(INT8, [1], int_val=[200])).tolist() == [-56]


def test_half_and_bfloat16_travel_as_patterns() -> None:
    assert list(to_proto(np.array([1.0, -2.0], np.float16)).half_val) == [0x3C00, 0xC000]
    assert list(to_proto(np.array([1.0], ml_dtypes.bfloat16)).half_val) == [0x3F80]
    assert from_proto(proto(HALF, [1], half_val=[0x3C00])).tolist() == [1.0]
    assert from_proto(proto(BFLOAT16, [1], half_val=[0x3F80])).astype(float).tolist() == [1.0]


def test_complex_values_travel_as_pairs() -> None:
    assert list(to_proto(np.array([1 + 2j], np.complex64)).scomplex_val) == [1, 2]


def test_content_is_read_where_it_lies() -> None:
    array = from_proto(to_proto(np.arange(6, dtype=np.float32).reshape(2, 3), as_content=True))

    assert array.base is not None
    assert not array.flags.writeable


def test_a_bool_of_any_nonzero_byte_is_true() -> None:
    assert from_proto(proto(BOOL, [3], tensor_content=b"\x00\x02\xff")).tolist() == [False, True, True]


def test_strings_in_content_are_lengths_and_bytes() -> None:
    assert from_proto(proto(STRING, [2], tensor_content=b"\x01\x02abc")).tolist() == [b"a", b"bc"]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(proto(FLOAT, [2], tensor_content=b"1234567"), id="content-too-short"),
        pytest.param(proto(FLOAT, [1], tensor_content=b"12345678"), id="content-too-long"),
        pytest.param(proto(FLOAT, [-1], float_val=[1]), id="negative"),
        pytest.param(proto(FLOAT, [2**40]), id="huge-and-empty"),
        pytest.param(proto(FLOAT, [2**40], float_val=[1]), id="huge-and-short"),
        pytest.param(proto(STRING, [2**40]), id="huge-strings"),
        pytest.param(proto(STRING, [2**40], tensor_content=b"\x00"), id="huge-string-content"),
        pytest.param(proto(STRING, [2], tensor_content=b"\x01\x09a"), id="string-content-too-short"),
        pytest.param(proto(STRING, [1], tensor_content=b"\xff" * 9), id="endless-length"),
        pytest.param(proto(FLOAT, [2**40] * 5), id="product-beyond-64-bits"),
        pytest.param(proto(FLOAT, [0, 2**62], float_val=[1]), id="empty-but-uncountable"),
        pytest.param(proto(FLOAT, [1] * 65, float_val=[1]), id="too-many-dimensions"),
        pytest.param(proto(0, [1], float_val=[1]), id="no-type"),
        pytest.param(proto(20, [1]), id="resource"),
        pytest.param(proto(29, [1], int_val=[1]), id="int4"),
        pytest.param(proto(24, [1]), id="float8"),
        pytest.param(proto(101, [1], float_val=[1]), id="reference"),
    ],
)
def test_a_malformed_tensor_is_named_by_its_alias(message: TensorProto) -> None:
    with pytest.raises(BadInput, match=r"^tensor parsing error: x$"):
        from_protos({"x": message})


def test_an_unknown_rank_is_refused() -> None:
    message = TensorProto(dtype=FLOAT)
    message.tensor_shape.unknown_rank = True

    with pytest.raises(BadInput, match="unknown rank"):
        from_proto(message)


def test_a_type_that_tensorflow_lacks_is_refused() -> None:
    with pytest.raises(BadInput, match=r"float128|longdouble"):
        to_proto(np.zeros(1, np.longdouble))
    with pytest.raises(BadInput, match="bytes or str"):
        to_proto(np.array([1, None], np.object_))


def test_a_tensor_beyond_a_message_is_refused() -> None:
    with pytest.raises(OutOfRange, match="2147483647"):
        to_proto(np.broadcast_to(np.float64(1), (2**29,)))


def test_any_layout_and_byte_order_is_written_the_same() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert to_proto(np.asfortranarray(array)) == to_proto(array)
    assert to_proto(array.astype(">f4"), as_content=True) == to_proto(array, as_content=True)
    assert from_proto(to_proto(np.array(["ä", "b"]))).tolist() == ["ä".encode(), b"b"]


def test_types_have_tensorflows_names() -> None:
    assert [dtype_name(n) for n in (1, 2, 3, 7, 10, 14, 19, 101, 0)] == [
        "float", "double", "int32", "string", "bool", "bfloat16", "half", "float_ref", "INVALID",
    ]  # fmt: skip
    assert dtype_name(999) == "unknown dtype enum (999)"
    assert enum_name(9) == "DT_INT64"
    assert numpy_dtype(STRING) == np.object_
    assert data_type(np.dtype("S3")) == STRING


@given(arrays())
@bounded
def test_tensorflow_reads_what_we_write(array: NDArray[Any]) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

    theirs = tf.make_tensor_proto(0)
    theirs.ParseFromString(to_proto(array).SerializeToString())

    assert same(np.asarray(tf.make_ndarray(theirs)).astype(array.dtype), array)


@given(arrays())
@bounded
def test_we_read_what_tensorflow_writes(array: NDArray[Any]) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

    theirs = tf.make_tensor_proto(array, shape=array.shape, dtype=tf.as_dtype(data_type(array.dtype)))

    assert same(from_proto(TensorProto.FromString(theirs.SerializeToString())), array)


def test_strings_of_one_shape_stay_in_it() -> None:
    array = strings([b"a", b"", b"\xff\x00", b"d"], (2, 2))

    assert from_proto(to_proto(array)).shape == (2, 2)
