"""Rows of named numbers to tensors, and what is refused with which words."""

import json
from typing import Any

import numpy as np
import pytest

from serving.card import Column, TableInput
from serving.errors import BadInput
from serving.preprocess.table import to_row, to_rows

SPEC = TableInput(columns=tuple(Column(name=name, low=0.0, high=1.0) for name in ("open", "high", "low")))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"low": 3, "open": 1, "high": 2.5}, id="by-name"),
        pytest.param([1, 2.5, 3], id="by-place"),
        pytest.param(b'{"high": 2.5, "open": 1e0, "low": 3}', id="json-object"),
        pytest.param(b"[1, 2.5, 3]", id="json-list"),
    ],
)
def test_a_row_comes_in_the_order_of_the_columns(row: Any) -> None:
    found = to_row(row, SPEC)

    assert found.dtype == np.float32
    assert found.tolist() == [1.0, 2.5, 3.0]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        pytest.param({"open": 1, "low": 3}, "column 'high' is missing; the columns are open, high, low", id="missing"),
        pytest.param({"open": 1, "high": 2, "low": 3, "lwo": 4}, "there is no column 'lwo'", id="unknown"),
        pytest.param(
            {"open": 1, "high": "2", "low": 3}, "column 'high' must be a number, and it is the text '2'", id="text"
        ),
        pytest.param({"open": 1, "high": None, "low": 3}, "column 'high' must be a number, and it is null", id="null"),
        pytest.param(
            {"open": True, "high": 2, "low": 3}, "column 'open' must be a number, and it is true", id="boolean"
        ),
        pytest.param({"open": [1], "high": 2, "low": 3}, "column 'open' must be a number, and it is a list", id="list"),
        pytest.param([1, float("nan"), 3], "column 'high' must be finite, and it is nan", id="nan"),
        pytest.param([1, 2, float("-inf")], "column 'low' must be finite, and it is -inf", id="infinite"),
        pytest.param([1, 2, 1e39], "column 'low' is beyond the largest float32", id="too-large"),
        pytest.param([1, 2, 10**400], "column 'low' is beyond the largest float32", id="huge-integer"),
        pytest.param([1, 2], "the row has 2 numbers and the model takes 3: open, high, low", id="too-few"),
        pytest.param("1,2,3", "a row is an object or a list of numbers, and this is the text '1,2,3'", id="csv"),
        pytest.param(7, "and this is a int", id="number"),
        pytest.param(b"{open: 1}", "the row is not JSON", id="no-json"),
        pytest.param(b"[" * 100_000, "the row is not JSON", id="deep"),
    ],
)
def test_what_is_no_row_is_refused_by_the_name_of_the_column(row: Any, complaint: str) -> None:
    with pytest.raises(BadInput) as refusal:
        to_row(row, SPEC)

    assert complaint in refusal.value.message


def test_of_several_rows_the_bad_one_is_named_by_its_place() -> None:
    with pytest.raises(BadInput, match="row 1: column 'high' is missing"):
        to_rows([[1, 2, 3], {"open": 1, "low": 1}], SPEC)

    assert to_rows([[1, 2, 3], [4, 5, 6]], SPEC).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert to_rows([], SPEC).shape == (0, 3)


def test_names_that_mean_something_to_json_are_only_names() -> None:
    spec = TableInput(columns=(Column(name='a"\\,b', low=0, high=1), Column(name="b64", low=0, high=1)))

    assert to_row(json.dumps({"b64": 2, 'a"\\,b': 1}).encode(), spec).tolist() == [1, 2]
