"""The model card: what a version promises, in JSON and back."""

import json
from dataclasses import replace
from typing import Any

import pytest

from serving.card import (
    CardError,
    Column,
    Dataset,
    ImageInput,
    ModelCard,
    Parity,
    Quality,
    RegressionQuality,
    TableInput,
    TextInput,
)

PICTURES = ModelCard(
    name="cats_vs_dogs",
    version=3,
    task="image_classification",
    labels=("cat", "dog"),
    input=ImageInput(height=160, width=160),
    signatures={"default": "serving_default", "encoded": "encoded", "card": "card"},
    dataset=Dataset(name="cats_vs_dogs", source="directory", train=1400, test=400, sha256="ab" * 32),
    quality=Quality(
        examples=4, accuracy=0.75, macro_f1=0.73, log_loss=0.4, calibration_error=0.02, confusion=((2, 0), (1, 1))
    ),
    files={"saved_model.pb": "cd" * 32},
    parity=(Parity(runtime="openvino", precision="f32", examples=10, largest_difference=2e-7, top1_agreement=1.0),),
    allowed_precisions=("f32", "bf16"),
    created="2026-01-31T12:00:00Z",
    training={"epochs": 20, "seed": 1},
)
TEXTS = replace(PICTURES, task="text_classification", input=TextInput(bits=22, orders=3, unique=True))


NUMBERS = replace(
    PICTURES,
    task="tabular",
    labels=(),
    input=TableInput(columns=(Column(name="rooms", low=1, high=9), Column(name="area", low=20.5, high=300))),
    quality=None,
    regression=RegressionQuality(examples=4, mae=0.5, rmse=0.7, r2=0.9),
)


@pytest.mark.parametrize("card", [PICTURES, TEXTS, NUMBERS], ids=["pictures", "texts", "numbers"])
def test_a_card_survives_the_way_through_json(card: ModelCard) -> None:
    assert ModelCard.from_json(card.to_json()) == card


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(PICTURES.to_json()) | fields)


def test_a_field_of_a_later_release_is_ignored() -> None:
    assert ModelCard.from_json(changed(colour="green")) == PICTURES


def test_a_newer_schema_is_refused_with_the_way_out() -> None:
    with pytest.raises(CardError, match=r"newer than 1.*upgrade"):
        ModelCard.from_json(changed(schema_version=2))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[1]", id="no-object"),
        pytest.param("{}", id="fields-missing"),
        pytest.param('{"schema_version": 1, "input"', id="cut-short"),
        pytest.param(changed(input={"kind": "smell"}), id="unknown-kind"),
        pytest.param(changed(input={"kind": "image", "height": 0, "width": 5}), id="no-rows"),
        pytest.param(changed(input={"kind": "image", "height": "x", "width": 5}), id="height-is-text"),
        pytest.param(changed(input={"kind": "text", "bits": 99}), id="hash-too-wide"),
        pytest.param(changed(input={"kind": "table", "columns": [{"name": "a"}]}), id="column-without-range"),
        pytest.param(changed(input={"kind": "table", "columns": [{"name": "", "low": 0, "high": 1}]}), id="no-name"),
        pytest.param(changed(labels=[]), id="no-label"),
        pytest.param(changed(labels=["cat", "cat"]), id="label-twice"),
        pytest.param(changed(labels=["cat"]), id="one-label"),
        pytest.param(changed(labels=5), id="labels-a-number"),
        pytest.param(changed(quality={"accuracy": 1}), id="half-a-quality"),
        pytest.param(changed(allowed_precisions=["bf16"]), id="no-f32"),
        pytest.param(changed(schema_version="new"), id="version-is-text"),
    ],
)
def test_a_damaged_card_is_one_clear_error(text: str) -> None:
    with pytest.raises(CardError):
        ModelCard.from_json(text)
