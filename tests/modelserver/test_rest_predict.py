"""Sections 7.1, 7.2 and 8 of the protocol: predict over REST, on real SavedModels and through a real socket.

Every text about a tensor's values is held by tests/wire/test_json_predict.py; here is what reaches the caller.
"""

from typing import Any

import pytest

from tests.modelserver.asking import Rest

PAIR = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"instances": [1.0 2.0]}', "JSON Parse error: Missing a comma or ] after an array element. at offset: 19"),
        (b'{"instances": x}', "JSON Parse error: Invalid value. at offset: 14"),
        (b"[1.0]", "JSON Value: [1.0] Is not object"),
        (
            b'{"signature_name": 3, "instances": [1.0]}',
            'JSON Value: {"signature_name": 3, "instances": [1.0]} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
    ],
)
@pytest.mark.parametrize("model", ["half_plus_two", "unicorn"])
def test_the_json_is_judged_before_the_model_is_looked_up(rest: Rest, model: str, body: bytes, text: str) -> None:
    answer = rest.predict(model, body)

    assert (answer.status, answer.error) == (400, text)


def test_an_unknown_model_is_not_found(rest: Rest) -> None:
    answer = rest.predict("unicorn", {"instances": [1.0]})

    assert (answer.status, answer.error) == (404, "Servable not found for request: Latest(unicorn)")


@pytest.mark.parametrize("body", [{"instances": [1.0]}, {}, {"instances": [], "inputs": 1}])
def test_the_signature_is_judged_before_the_tensors(rest: Rest, body: dict[str, Any]) -> None:
    answer = rest.predict("half_plus_two", {"signature_name": "unicorn", **body})

    assert (answer.status, answer.error) == (400, 'Serving signature name: "unicorn" not found in signature def')


def test_a_missing_default_signature_is_named(rest: Rest) -> None:
    answer = rest.predict("no_default", {"instances": [1.0]})

    assert (answer.status, answer.error) == (
        400,
        'Serving signature name: "serving_default" not found in signature def',
    )


@pytest.mark.parametrize(
    ("signature", "named"), [(None, "DEFAULT"), ("crash", "crash")], ids=["the default", "one by its name"]
)
def test_a_signature_without_inputs_cannot_be_called(stand_in_rest: Rest, signature: str | None, named: str) -> None:
    body = {"instances": [1.0]} | ({"signature_name": signature} if signature else {})

    answer = stand_in_rest.predict("breaker", body)

    assert (answer.status, answer.error) == (400, f"Failed to get input map for signature: {named}")


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        (
            "half_plus_two",
            {"instances": [1.0], "inputs": [1.0]},
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        ),
        ("half_plus_two", {}, "Missing 'inputs' or 'instances' key"),
        ("half_plus_two", {"instances": 1.0}, "Expecting 'instances' to be an list/array"),
        ("half_plus_two", {"instances": []}, "No values in 'instances' array"),
        (
            "two_inputs",
            {"instances": [[1.0, 2.0]]},
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ("two_inputs", {"instances": [{"a": [1.0, 2.0]}]}, "keys must be equal to: a,b"),
        (
            "two_inputs",
            {"instances": [{"a": [1.0], "b": [1.0], "c": [1.0]}]},
            "does not have named input: c",
        ),
        (
            "half_plus_two",
            {"instances": [1.0, {"x": 1.0}]},
            "Expecting value/list but got object at item 1 of input list",
        ),
        ("half_plus_two", {"instances": [{"x": 1.0}, 1.0]}, "Expecting object but got list at item 1 of input list"),
        ("half_plus_two", {"instances": [[1.0], [1.0, 2.0]]}, "Expecting tensor size: 1 but got: 2"),
        ("half_plus_two", {"instances": [[[1.0, 2.0]], [[1.0], [2.0]]]}, "Expecting shape [1,2] but got: [2,1]"),
        ("two_inputs", {"inputs": {"a": PAIR}}, "Missing named input: b in 'inputs' object."),
        (
            "two_inputs",
            {"inputs": PAIR},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ("half_plus_two", {"inputs": ["1"]}, 'JSON Value: "1" Type: String is not of expected type: float'),
        ("half_plus_two", {"inputs": [None]}, "JSON Value: null Type: Null is not of expected type: float"),
        ("half_plus_two", {"inputs": [True]}, "JSON Value: true Type: True is not of expected type: float"),
        ("tiny_image", {"inputs": [1.0]}, "JSON Value: 1.0 Type: Number is not of expected type: uint8"),
        ("tiny_text", {"inputs": [{"b64": "*"}]}, "Unable to base64 decode"),
        (
            "half_plus_two",
            {"inputs": [[1.0], [1.0, 2.0]]},
            "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_the_words_of_the_original(
    rest: Rest, model: str, body: dict[str, Any], text: str
) -> None:
    answer = rest.predict(model, body)

    assert answer.status == 400
    assert answer.error.endswith(text)


def test_an_element_of_a_row_is_told_with_its_place(rest: Rest) -> None:
    answer = rest.predict("two_inputs", {"instances": [{"a": [1.0, 2.0], "b": ["x", 2.0]}]})

    assert answer.status == 400
    assert answer.error == (
        "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: "
        'JSON Value: "x" Type: String is not of expected type: float'
    )


def test_a_type_that_json_cannot_carry_is_unimplemented_in_columns_and_bad_in_rows(rest: Rest) -> None:
    names = [
        *("float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    ]
    values = {name: [1] for name in names} | {"bool": [True]}

    columns = rest.predict("many_types", {"inputs": values})
    rows = rest.predict("many_types", {"instances": [{name: value[0] for name, value in values.items()}]})

    assert columns.status == 501
    assert columns.error.startswith("Conversion of JSON Value: 1 to type: ")
    assert rows.status == 400
    assert "Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: " in rows.error


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        pytest.param({"instances": [1.0, 2, -3.5]}, {"predictions": [2.5, 3.0, 0.25]}, id="values"),
        pytest.param({"instances": [[1.0], [2.0]]}, {"predictions": [[2.5], [3.0]]}, id="lists"),
        pytest.param({"instances": [{"x": [1.0]}, {"x": [2.0]}]}, {"predictions": [[2.5], [3.0]]}, id="objects"),
        pytest.param({"inputs": [1.0, 2.0]}, {"outputs": [2.5, 3.0]}, id="a bare column"),
        pytest.param({"inputs": {"x": [[1.0]], "y": 7}}, {"outputs": [[2.5]]}, id="a named column and another name"),
        pytest.param({"inputs": 1.0}, {"outputs": 2.5}, id="a scalar"),
        pytest.param({"inputs": [], "unknown": [1, {}]}, {"outputs": []}, id="no rows and an unknown key"),
    ],
)
def test_rows_and_columns_are_answered_as_they_were_asked(rest: Rest, body: Any, answered: Any) -> None:
    answer = rest.predict("half_plus_two", body)

    assert (answer.status, answer.json) == (200, answered)


def test_several_outputs_have_their_names(rest: Rest) -> None:
    rows = rest.predict("row_sums", {"instances": [[1.0, 2.0], [3.0, 4.0]]})
    columns = rest.predict("row_sums", {"inputs": [[1.0, 2.0]]})

    assert rows.json == {"predictions": [{"sum": 3.0, "double": [2.0, 4.0]}, {"sum": 7.0, "double": [6.0, 8.0]}]}
    assert columns.json == {"outputs": {"sum": [3.0], "double": [[2.0, 4.0]]}}


def test_defaults_of_a_signature_do_not_help_in_json(rest: Rest) -> None:
    for body in ({"inputs": {"a": PAIR}}, {"instances": [{"a": [1.0, 2.0]}]}):
        assert rest.predict("two_inputs", {"signature_name": "defaulted", **body}).status == 400


def test_a_scalar_output_is_bare_in_columns_and_refused_in_rows(rest: Rest) -> None:
    assert rest.predict("scalar_out", {"inputs": PAIR}).body == b'{"outputs": 2.5}'

    rows = rest.predict("scalar_out", {"instances": PAIR})
    assert (rows.status, rows.error) == (400, "Tensor name: mean has no shape information ")


def test_numbers_look_like_floats_with_the_digits_of_their_own_width(rest: Rest) -> None:
    answer = rest.predict("half_plus_two", b'{"instances": [0.4, 2, NaN, Infinity, -Infinity, 2e9, 1e39, -Inf]}')

    assert answer.status == 200
    assert answer.body == b'{"predictions": [2.2, 3.0, NaN, Infinity, -Infinity, 1e+09, Infinity, -Infinity]}'


def test_a_picture_goes_in_as_whole_numbers(rest: Rest) -> None:
    picture = [[[0, 128, 255]] * 32] * 32

    answer = rest.predict("tiny_image", {"instances": [picture, picture]})

    assert answer.status == 200
    assert [len(row) for row in answer.json["predictions"]] == [3, 3]
    assert all(abs(sum(row) - 1) < 1e-5 for row in answer.json["predictions"])


def test_strings_go_in_as_text_or_base64(rest: Rest) -> None:
    answer = rest.predict("tiny_text", {"instances": ["a fine ship", {"b64": "YSBmaW5lIHNoaXA="}]})

    first, second = answer.json["predictions"]
    assert first == second


def test_a_shape_that_the_graph_refuses_is_a_bad_request(rest: Rest) -> None:
    answer = rest.predict("tiny_image", {"instances": [[1, 2, 3]]})

    assert answer.status == 400
    assert answer.error
