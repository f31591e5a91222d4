"""Rows of a table at the gateway: numbers in, a label or a number out, over real HTTP."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser

from serving.card import Column, TableInput
from serving.gateway.upstream import Tensors
from tests.gateway.caller import JPEG, JSON, RED, TEXT, Caller
from tests.gateway.classifiers import COLORS, Classifiers
from tests.gateway.conftest import Serve

HOUSES = replace(
    COLORS,
    name="houses",
    task="tabular",
    labels=(),
    input=TableInput(columns=(Column(name="rooms", low=1, high=9), Column(name="area", low=20, high=300))),
)
SIDES = replace(HOUSES, name="sides", labels=("left", "right"))


class Tables(Classifiers):
    """The sum of a row's numbers, or whether it is above 10."""

    def predict(
        self, model: str, version: int, signature: str, inputs: Tensors, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        super().predict(model, version, signature, {"text": np.array([b""])}, deadline)
        total = inputs["row"].sum(axis=1)
        if model == "houses":
            return {"value": total}
        right = (total > 10).astype(np.float32)
        return {"probabilities": np.stack([1 - right, right], axis=1)}


@pytest.fixture
def tables(serve: Serve) -> Caller:
    return serve(Tables(HOUSES, SIDES))


def ask(caller: Caller, model: str, *rows: object, query: str = "") -> Any:
    return caller.ask(f"/v1/models/{model}/classify{query}", json.dumps({"instances": rows}), JSON)


def test_a_model_without_labels_answers_a_number_for_every_row(tables: Caller) -> None:
    answer = ask(tables, "houses", {"area": 50.5, "rooms": 2}, [3, 100])

    assert answer.status == 200
    assert answer.json["predictions"] == [{"value": 52.5}, {"value": 103.0}]


def test_a_model_with_labels_answers_them(tables: Caller) -> None:
    answer = ask(tables, "sides", [1, 2], {"rooms": 9, "area": 9})

    assert answer.labels == ["left", "right"]
    assert answer.json["predictions"][0]["probability"] == 1.0


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        pytest.param({"rooms": 2}, "column 'area' is missing", id="missing"),
        pytest.param({"rooms": 2, "area": "x"}, "column 'area' must be a number", id="text"),
        pytest.param({"rooms": 2, "area": 3, "b64": "aGk="}, "there is no column 'b64'", id="unknown"),
        pytest.param("2, 3", "an instance must be a row", id="string"),
        pytest.param(5, "an instance must be a row", id="number"),
    ],
)
def test_a_bad_row_is_a_400_that_names_its_place_and_its_column(tables: Caller, row: object, complaint: str) -> None:
    answer = ask(tables, "houses", [1, 2], row)

    assert answer.status == 400
    assert answer.json["index"] == 1
    assert complaint in answer.json["detail"]


def test_with_partial_the_good_rows_are_answered_and_the_bad_are_named(tables: Caller) -> None:
    good, bad = ask(tables, "houses", [1, 2], [1], query="?partial=true").json["predictions"]

    assert good == {"value": 3.0}
    assert bad["error"]["status"] == 400


@pytest.mark.parametrize(("body", "headers"), [(RED, JPEG), (b"2,3", TEXT), (b"2,3", {"Content-Type": "text/csv"})])
def test_anything_but_json_is_a_415_that_shows_the_form(tables: Caller, body: bytes, headers: dict[str, str]) -> None:
    answer = tables.ask("/v1/models/houses/classify", body, headers)

    assert answer.status == 415
    assert '{"instances": [{"column": number, ...}]}; its columns are rooms, area' in answer.json["detail"]


def test_a_number_beyond_json_s_range_is_a_400(tables: Caller) -> None:
    answer = tables.ask("/v1/models/houses/classify", b'{"instances": [[1e39, 1]]}', JSON)

    assert answer.status == 400
    assert "column 'rooms' is beyond the largest float32" in answer.json["detail"]


def test_the_readiness_inference_and_the_listing_know_tables(tables: Caller) -> None:
    assert tables.ask("/readyz").status == 200
    [houses, _] = tables.ask("/v1/models").json["models"]

    assert (houses["task"], houses["labels"]) == ("tabular", [])
    card = tables.ask("/v1/models/houses").json["card"]
    assert card["input"]["columns"][1] == {"name": "area", "low": 20, "high": 300}


def test_the_page_asks_for_every_column_and_shows_the_number(browser: Browser, tables: Caller) -> None:
    page = browser.new_page()
    page.goto(tables.gateway.url)
    page.get_by_label("Model", exact=True).select_option("houses")
    page.get_by_label("rooms").fill("2.5")
    page.get_by_label("area").fill("100")
    page.get_by_role("button", name="Ask").click()
    page.locator("#best", has_text="102.5").wait_for()

    assert "20 to 300 in training" in page.locator("#columns").inner_text()
    assert "rooms 2.5, area 100" in page.locator("#strip").inner_text()
    page.close()
