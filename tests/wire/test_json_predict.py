import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.errors import BadInput, ServingError, Unimplemented
from serving.wire import dtypes
from serving.wire.dtypes import BOOL, DOUBLE, FLOAT, HALF, INT8, INT32, INT64, STRING, UINT8, UINT16, UINT32, UINT64
from serving.wire.rest_json import Format, parse, predict_answer, predict_inputs, signature_name
from tests.wire.strategies import arrays, bounded, same, strings

CARRIED = {BOOL, DOUBLE, FLOAT, INT8, dtypes.INT16, INT32, INT64, STRING, UINT8, UINT32, UINT64}
ONE = {"x": FLOAT}
TWO = {"b": STRING, "a": FLOAT}


def read(text: str, data_types: dict[str, int], signature: str = "") -> dict[str, NDArray[Any]]:
    return predict_inputs(parse(text.encode()), data_types, signature)[0]


def refusal(text: str, data_types: dict[str, int]) -> str:
    with pytest.raises(BadInput) as refused:
        read(text, data_types)
    return refused.value.message


@given(arrays(CARRIED))
@bounded
def test_every_tensor_survives_the_columnar_format(array: NDArray[Any]) -> None:
    name = "x_bytes" if array.dtype == np.object_ else "x"  # plain strings must be UTF-8 to come back
    answer = json.loads(predict_answer({name: array}, Format.COLUMNAR))

    back = predict_inputs({"inputs": {name: answer["outputs"]}}, {name: dtypes.data_type(array.dtype)})[0][name]

    assert same(back, array if array.size else array.reshape(back.shape))


@given(arrays(CARRIED).filter(lambda array: array.ndim > 0 and array.size > 0))
@bounded
def test_every_batch_survives_the_row_format(array: NDArray[Any]) -> None:
    body = predict_answer({"x_bytes": array, "y_bytes": array}, Format.ROW).replace(
        b'{"predictions"', b'{"instances"', 1
    )
    kind = dtypes.data_type(array.dtype)

    inputs, form = predict_inputs(parse(body), {"x_bytes": kind, "y_bytes": kind})

    assert form is Format.ROW
    assert same(inputs["x_bytes"], array)
    assert same(inputs["y_bytes"], array)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just({"b64": "YQ=="}),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from(["instances", "inputs"]),
    st.dictionaries(st.sampled_from("abx"), st.integers(0, 31), max_size=2),
)
@bounded
def test_any_document_is_tensors_or_an_error_of_the_family(value: Any, key: str, data_types: dict[str, int]) -> None:
    with suppress(ServingError):
        predict_inputs(parse(json.dumps({key: value}).encode()), data_types)


class TestRows:
    def test_scalars_lists_and_objects_make_a_batch(self) -> None:
        assert read('{"instances": [1, 2.5]}', ONE)["x"].tolist() == [1, 2.5]
        assert read('{"instances": [[1, 2], [3, 4], [5, 6]]}', ONE)["x"].shape == (3, 2)
        assert read('{"instances": [{"x": [1]}, {"x": [2]}]}', ONE)["x"].tolist() == [[1], [2]]
        both = read('{"instances": [{"a": 1, "b": "x"}, {"b": {"b64": "YQ"}, "a": 2}]}', TWO)
        assert both["a"].tolist() == [1, 2]
        assert both["b"].tolist() == [b"x", b"a"]

    def test_rows_may_be_empty_lists(self) -> None:
        assert read('{"instances": [[], []]}', ONE)["x"].shape == (2, 0)

    @pytest.mark.parametrize(
        ("body", "data_types", "text"),
        [
            ('{"instances": 5}', ONE, "JSON Value: {\"instances\": 5} Expecting 'instances' to be an list/array"),
            ('{"instances": []}', ONE, "JSON Value: {\"instances\": []} No values in 'instances' array"),
            (
                '{"instances": [1]}',
                TWO,
                "instances is a plain list, but expecting list of objects as multiple input tensors required "
                "as per tensorinfo_map",
            ),
            ('{"instances": [{"x": 1}, 2]}', ONE, "Expecting object but got list at item 1 of input list"),
            ('{"instances": [1, {"x": 1}]}', ONE, "Expecting value/list but got object at item 1 of input list"),
            (
                '{"instances": [{"x": 1, "z": 2}]}',
                ONE,
                "Failed to process element: 0 key: z of 'instances' list. "
                "Error: INVALID_ARGUMENT: JSON object: does not have named input: z",
            ),
            (
                '{"instances": [{"a": 1, "b": "x"}, {"a": 1}]}',
                TWO,
                "Failed to process element: 1 of 'instances' list. JSON object: {\"a\": 1} keys must be equal to: a,b",
            ),
            (
                '{"instances": [[1], [1, 2]]}',
                ONE,
                "Failed to process element: 1 of 'instances' list. "
                "Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2",
            ),
            (
                '{"instances": [1, [1]]}',
                ONE,
                "Failed to process element: 1 of 'instances' list. "
                "Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]",
            ),
            (
                '{"instances": [{"x": [[1, 2]]}, {"x": [[1], [2]]}]}',
                ONE,
                "Failed to process element: 1 key: x of 'instances' list. "
                "Error: INVALID_ARGUMENT: Expecting shape [1,2] but got: [2,1]",
            ),
            (
                '{"instances": ["a"]}',
                ONE,
                "Failed to process element: 0 of 'instances' list. "
                'Error: INVALID_ARGUMENT: JSON Value: "a" Type: String is not of expected type: float',
            ),
            (
                '{"instances": ["a", {"b64": "?"}]}',
                {"x": STRING},
                "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Unable to base64 decode",
            ),
            (
                '{"instances": [1]}',
                {"x": HALF},
                "Failed to process element: 0 of 'instances' list. "
                "Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: half",
            ),
        ],
    )
    def test_a_bad_row_is_named(self, body: str, data_types: dict[str, int], text: str) -> None:
        assert refusal(body, data_types) == text


class TestColumns:
    def test_each_input_has_its_own_shape_and_extra_names_are_ignored(self) -> None:
        inputs = read('{"inputs": {"a": 3, "b": [["x", "y"]], "unknown": {"deep": []}}}', TWO)

        assert inputs["a"].shape == ()
        assert inputs["b"].tolist() == [[b"x", b"y"]]

    @pytest.mark.parametrize("value", ["[[1, 2]]", '{"x": [[1, 2]]}'])
    def test_one_input_may_stand_bare(self, value: str) -> None:
        assert read(f'{{"inputs": {value}}}', ONE)["x"].tolist() == [[1, 2]]

    def test_one_string_input_may_be_a_bare_base64_object(self) -> None:
        assert read('{"inputs": {"b64": "YWI="}}', {"x": STRING})["x"].item() == b"ab"

    @pytest.mark.parametrize(
        ("body", "data_types", "text"),
        [
            ('{"inputs": {"a": 1}}', TWO, "Missing named input: b in 'inputs' object."),
            (
                '{"inputs": [1]}',
                TWO,
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map",
            ),
            ('{"inputs": [[1], [2, 3]]}', ONE, "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
            ('{"inputs": [1, [2]]}', ONE, "Encountered list at unexpected level: 1 expected < 1"),
            (
                '{"inputs": [[1], 2]}',
                ONE,
                "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
            ),
            (
                '{"inputs": {"b64": "YQ=="}}',
                ONE,
                'JSON Value: {"b64": "YQ=="} Type: Object is not of expected type: float',
            ),
            ('{"inputs": [{"c": 1}]}', {"x": STRING}, 'JSON Value: {"c": 1} not formatted correctly for base64 data'),
        ],
    )
    def test_a_bad_column_is_explained(self, body: str, data_types: dict[str, int], text: str) -> None:
        assert refusal(body, data_types) == text

    def test_a_type_that_json_cannot_carry_is_unimplemented(self) -> None:
        with pytest.raises(Unimplemented, match=r"^Conversion of JSON Value: 1\.5 to type: bfloat16$"):
            read('{"inputs": [1.5]}', {"x": dtypes.BFLOAT16})
        with pytest.raises(Unimplemented, match="uint16"):
            read('{"inputs": 1}', {"x": UINT16})


class TestKeys:
    def test_both_keys_or_neither_is_an_error(self) -> None:
        assert refusal('{"instances": [1], "inputs": 1}', ONE) == (
            'JSON Value: {"instances": [1], "inputs": 1} Not formatted correctly expecting only one of '
            "'inputs' or 'instances' keys to exist"
        )
        assert refusal('{"other": 1}', ONE) == "Missing 'inputs' or 'instances' key"

    def test_a_signature_without_inputs_comes_before_the_keys(self) -> None:
        assert refusal("{}", {}) == "Failed to get input map for signature: DEFAULT"
        with pytest.raises(BadInput, match=r"^Failed to get input map for signature: s$"):
            read("{}", {}, "s")

    def test_the_signature_name_must_be_a_string(self) -> None:
        assert signature_name({"signature_name": "s"}) == "s"
        assert signature_name({}) == ""
        with pytest.raises(BadInput, match="'signature_name' key must be a string value") as refused:
            signature_name({"signature_name": 5})
        assert refused.value.message.startswith('JSON Value: {"signature_name": 5} not formatted correctly. ')


class TestValues:
    @pytest.mark.parametrize(
        ("value", "data_type", "shown", "kind", "wanted"),
        [
            ("null", FLOAT, "null", "Null", "float"),
            ("true", FLOAT, "true", "True", "float"),
            ("false", INT32, "false", "False", "int32"),
            ("1.0", INT32, "1.0", "Number", "int32"),
            ("1e2", INT64, "100.0", "Number", "int64"),
            ("2147483648", INT32, "2147483648", "Number", "int32"),
            ("-2147483649", UINT8, "-2147483649", "Number", "uint8"),
            ("9223372036854775808", INT64, "9223372036854775808", "Number", "int64"),
            ("-1", UINT32, "-1", "Number", "uint32"),
            ("-1", UINT64, "-1", "Number", "uint64"),
            ("18446744073709551616", UINT64, "1.8446744073709552e+19", "Number", "uint64"),
            ("1", BOOL, "1", "Number", "bool"),
            ('"1"', DOUBLE, '"1"', "String", "double"),
            ("1", STRING, "1", "Number", "string"),
            ("NaN", INT32, "NaN", "Number", "int32"),
        ],
    )
    def test_nothing_is_coerced(self, value: str, data_type: int, shown: str, kind: str, wanted: str) -> None:
        assert refusal(f'{{"inputs": {value}}}', {"x": data_type}) == (
            f"JSON Value: {shown} Type: {kind} is not of expected type: {wanted}"
        )

    def test_a_bool_among_numbers_is_noticed(self) -> None:
        assert "true Type: True" in refusal('{"instances": [[1, 2], [true, 3]]}', ONE)

    def test_floats_take_whole_numbers_and_the_tokens_and_overflow_to_infinity(self) -> None:
        values = read('{"inputs": [1, 2.5, 1e300, -1e300, Infinity, NaN]}', ONE)["x"]

        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.array([1, 2.5, np.inf, -np.inf, np.inf, np.nan], np.float32))

    def test_integers_keep_all_bits_and_narrow_ones_wrap(self) -> None:
        assert read('{"inputs": [9223372036854775807, -9223372036854775808]}', {"x": INT64})["x"].tolist() == [
            2**63 - 1,
            -(2**63),
        ]
        assert read('{"inputs": 18446744073709551615}', {"x": UINT64})["x"].item() == 2**64 - 1
        assert read('{"inputs": [256, -1]}', {"x": UINT8})["x"].tolist() == [0, 255]

    @pytest.mark.parametrize("text", ["YWI=", "YWI", "Y W\\nI=", "YWI."])
    def test_base64_may_have_blanks_and_lack_padding(self, text: str) -> None:
        assert read(f'{{"inputs": {{"b64": "{text}"}}}}', {"x": STRING})["x"].item() == b"ab"

    @pytest.mark.parametrize("text", ["Y", "YWI==", "Y?I=", "YW=I", "ä"])
    def test_what_is_not_base64_is_refused(self, text: str) -> None:
        assert refusal(f'{{"inputs": {{"b64": "{text}"}}}}', {"x": STRING}) == "Unable to base64 decode"

    def test_lists_deeper_than_a_tensor_may_be_are_refused(self) -> None:
        assert "nested deeper" in refusal('{"inputs": ' + "[" * 5000 + "]" * 5000 + "}", ONE)
        assert "Failed to process element: 0" in refusal('{"instances": ' + "[" * 5000 + "]" * 5000 + "}", ONE)

    def test_strings_are_utf8_bytes(self) -> None:
        assert read('{"instances": ["ä", ""]}', {"x": STRING})["x"].tolist() == ["ä".encode(), b""]
        assert same(read('{"inputs": []}', {"x": STRING})["x"], strings([], (0,)))
