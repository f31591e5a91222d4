import json
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.wire.json_numbers import double_text, float_texts
from serving.wire.protos import (
    ClassificationResult,
    GetModelMetadataResponse,
    GetModelStatusResponse,
    RegressionResult,
    SignatureDefMap,
)
from serving.wire.rest_json import (
    Format,
    classify_answer,
    error_answer,
    metadata_answer,
    predict_answer,
    regress_answer,
    status_answer,
)
from tests.wire.strategies import bounded, strings


def row(**outputs: NDArray[Any]) -> str:
    return predict_answer(outputs, Format.ROW).decode()


def columns(**outputs: NDArray[Any]) -> str:
    return predict_answer(outputs, Format.COLUMNAR).decode()


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (3, "3.0"),
            (2.2, "2.2"),
            (9_000_000, "9e+06"),
            (3e-5, "3e-05"),
            (123456, "123456.0"),
            (1 / 3, "0.333333343"),
            (16777217, "16777216.0"),
            (1e30, "1e+30"),
            (-0.0, "-0.0"),
            (np.nan, "NaN"),
            (np.inf, "Infinity"),
            (-np.inf, "-Infinity"),
            (3.4028235e38, "3.40282347e+38"),
        ],
    )
    def test_a_float_has_its_own_widths_digits(self, value: float, text: str) -> None:
        assert columns(y=np.array(value, np.float32)) == f'{{"outputs": {text}}}'

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.1, "0.1"), (1 / 3, "0.33333333333333331"), (2.0**53, "9007199254740992.0"), (1e300, "1e+300")],
    )
    def test_a_double_has_its_own(self, value: float, text: str) -> None:
        assert columns(y=np.array(value)) == f'{{"outputs": {text}}}'
        assert double_text(value) == text

    @given(st.integers(0, 2**32 - 1))
    @bounded
    def test_every_float_reads_back_and_looks_like_one(self, pattern: int) -> None:
        value = np.frombuffer(struct.pack("<I", pattern), np.float32)
        (text,) = float_texts(value)

        assert np.array_equal(np.float32(float(text)), value[0], equal_nan=True)
        assert any(mark in text for mark in (".", "e", "N", "I"))

    @given(st.floats())
    @bounded
    def test_every_double_reads_back(self, value: float) -> None:
        assert np.array_equal(float(double_text(value)), value, equal_nan=True)
        assert float_texts(np.array([value])) == [double_text(value)]

    def test_integers_are_exact_and_have_no_point(self) -> None:
        assert columns(y=np.array([2**64 - 1], np.uint64)) == f'{{"outputs": [{2**64 - 1}]}}'
        assert columns(y=np.array([-(2**63), 5])) == f'{{"outputs": [{-(2**63)}, 5]}}'

    def test_bools_are_words(self) -> None:
        assert columns(y=np.array([True, False])) == '{"outputs": [true, false]}'

    @pytest.mark.parametrize(
        ("dtype", "name"),
        [(np.float16, "half"), (ml_dtypes.bfloat16, "bfloat16"), (np.uint16, "uint16"), (np.complex64, "complex64")],
    )
    def test_types_that_json_cannot_carry_are_refused(self, dtype: Any, name: str) -> None:
        with pytest.raises(BadInput, match=f"^Failed to write JSON value for tensor type: {name}$"):
            row(y=np.zeros(2, dtype))


class TestStrings:
    def test_plain_ones_are_written_as_they_are(self) -> None:
        answer = predict_answer({"y": strings([b'a"\n', "ä".encode(), b"\xff"], (3,))}, Format.ROW)

        assert answer == b'{"predictions": ["a\\"\\n", "\xc3\xa4", "\xff"]}'

    def test_an_output_named_bytes_is_base64(self) -> None:
        assert row(y_bytes=strings([b"ab", b""], (2,))) == '{"predictions": [{"b64": "YWI="}, {"b64": ""}]}'

    def test_numbers_named_bytes_are_numbers(self) -> None:
        assert row(y_bytes=np.array([1])) == '{"predictions": [1]}'


class TestRows:
    def test_one_output_stands_alone(self) -> None:
        assert row(y=np.array([[1, 2], [3, 4]])) == '{"predictions": [[1, 2], [3, 4]]}'

    def test_several_stand_under_their_names(self) -> None:
        assert json.loads(row(y=np.array([[1], [2]]), z=np.array([0.5, 1.5]))) == {
            "predictions": [{"y": [1], "z": 0.5}, {"y": [2], "z": 1.5}]
        }

    def test_zero_rows_are_an_empty_list(self) -> None:
        assert row(y=np.zeros((0, 3))) == '{"predictions": []}'
        assert row(y=np.zeros((2, 0))) == '{"predictions": [[], []]}'
        assert row(y=np.zeros((0, 3)), z=np.zeros(0)) == '{"predictions": []}'

    def test_a_scalar_has_no_rows(self) -> None:
        with pytest.raises(BadInput, match=r"^Tensor name: y has no shape information $"):
            row(y=np.array(1))

    def test_outputs_must_agree_on_their_rows(self) -> None:
        with pytest.raises(BadInput, match=r"^Tensor name: z has inconsistent batch size: 3 expecting: 2$"):
            row(y=np.zeros(2), z=np.zeros(3))


class TestColumns:
    def test_shapes_are_free(self) -> None:
        assert columns(y=np.array(3, np.float32)) == '{"outputs": 3.0}'
        assert json.loads(columns(y=np.array(1), z=np.zeros((2, 1, 2), np.int32))) == {
            "outputs": {"y": 1, "z": [[[0, 0]], [[0, 0]]]}
        }
        assert columns(y=np.zeros((2, 0, 3))) == '{"outputs": [[], []]}'


def test_classify_answers_label_and_score_in_order() -> None:
    result = ClassificationResult()
    for label, score in (("a", 0.25), ("", 2.2)):
        result.classifications.add().classes.add(label=label, score=score)

    assert classify_answer(result) == b'{"results": [[["a", 0.25]], [["", 2.2]]]}'


def test_regress_answers_values_in_order() -> None:
    result = RegressionResult()
    result.regressions.add(value=3)
    result.regressions.add(value=2.2)

    assert regress_answer(result) == b'{"results": [3.0, 2.2]}'


def test_status_has_every_field_and_versions_as_strings() -> None:
    status = GetModelStatusResponse()
    status.model_version_status.add(version=2, state=50).status.error_code = 5
    status.model_version_status.add(version=1, state=30)

    assert json.loads(status_answer(status)) == {
        "model_version_status": [
            {"version": "2", "state": "END", "status": {"error_code": "NOT_FOUND", "error_message": ""}},
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ]
    }


def test_metadata_has_the_signatures_with_every_field() -> None:
    signatures = SignatureDefMap()
    signature = signatures.signature_def["s"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["x"].name = "x:0"
    signature.inputs["x"].dtype = 1
    signature.inputs["x"].tensor_shape.dim.add(size=-1)
    signature.outputs["y"].name = "y:0"
    signature.outputs["y"].tensor_shape.unknown_rank = True
    metadata = GetModelMetadataResponse()
    metadata.model_spec.name = "m"
    metadata.model_spec.version.value = 7
    metadata.metadata["signature_def"].Pack(signatures)

    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert json.loads(metadata_answer(metadata)) == {
        "model_spec": {"name": "m", "signature_name": "", "version": "7"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "s": {
                        "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "x:0"}},
                        "outputs": {
                            "y": {
                                "dtype": "DT_INVALID",
                                "tensor_shape": {"dim": [], "unknown_rank": True},
                                "name": "y:0",
                            }
                        },
                        "method_name": "tensorflow/serving/predict",
                        "defaults": {},
                    }
                }
            }
        },
    }


def test_an_error_is_its_message_and_nothing_else() -> None:
    assert json.loads(error_answer('no "m"\n\udcff')) == {"error": 'no "m"\n?'}
