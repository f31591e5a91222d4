"""Recipes from their data to an answer: trained by the command line, asked through a real server.

The data is generated in its authors' formats and small; what is held is the way, not the accuracy, but
for the two tables, which have little to learn.
"""

import io
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from click.testing import CliRunner

from serving import repository
from serving.card import ModelCard, TableInput
from tests.processes import Slipway, slipway
from training.__main__ import cli

from .test_array_files import drawn, write_cifar10, write_idx

pytestmark = pytest.mark.timeout(900)
ANIMALS = {"fish": "The herring swims in the cold sea.", "bird": "A swift flies over the roofs.", "cat": "It purrs."}


def write_texts(folder: Path) -> None:
    for label, sentence in ANIMALS.items():
        (folder / label).mkdir(parents=True)
        for number in range(20):
            (folder / label / f"{number}.txt").write_text(f"{sentence} Number {number} of {label}.")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five models, each trained for a few steps."""
    place = tmp_path_factory.mktemp("recipes")
    (place / "idx").mkdir()
    (place / "bin").mkdir()
    write_idx(place / "idx", drawn((28, 28), 10, 1), drawn((28, 28), 10, 2))
    write_cifar10(place / "bin", drawn((32, 32, 3), 10, 1), drawn((32, 32, 3), 10, 2))
    write_texts(place / "texts")
    folders = ["--models", place / "models", "--cache-dir", place / "cache", "--runs", place / "runs", "--quiet"]
    for words in (
        ("xor", "--epochs", 12),
        ("stock_regression", "--epochs", 15),
        ("fashion_mnist", "--data-dir", place / "idx", "--epochs", 1, "--no-int8"),
        ("cifar10", "--data-dir", place / "bin", "--epochs", 1, "--no-int8"),
        ("text_folder", "--data-dir", place / "texts", "--name", "animals", "--epochs", 8),
    ):
        answer = CliRunner().invoke(cli, ["train", *map(str, (*words, *folders))], terminal_width=200)
        assert answer.exit_code == 0, answer.output
        (place / f"{words[0]}.txt").write_text(answer.stdout)
    return place / "models"


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Slipway]:
    """`python -m serving` over all of them."""
    with slipway(models, "--precision", "f32") as running:
        yield running


Ask = Callable[..., Any]


@pytest.fixture
def ask(server: Slipway) -> Ask:
    """Posts to the gateway and gives the JSON back."""

    def call(path: str, body: bytes, kind: str = "application/json") -> Any:
        request = urllib.request.Request(server.url + path, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return call


def card_of(models: Path, name: str) -> ModelCard:
    card = repository.read_card(models / name / "1")
    assert card is not None
    return card


def test_two_layers_learn_what_one_cannot_and_both_figures_are_shown(models: Path) -> None:
    card, shown = card_of(models, "xor"), (models.parent / "xor.txt").read_text()

    assert card.quality is not None
    assert card.quality.accuracy > 0.95
    assert card.training["phases"][-1]["val_accuracy"] > 0.95
    assert card.training["baseline"]["val_accuracy"] < 0.8
    assert "The same by: One layer" in shown
    assert f"{card.training['baseline']['val_accuracy']:.2%}" in shown


def test_the_gateway_answers_rows_with_labels(ask: Ask) -> None:
    rows = [{"a": 0.02, "b": 0.97}, {"b": 1.1, "a": 0.9}, [1.0, 0.0], [0.1, -0.1]]

    found = ask("/v1/models/xor/classify", json.dumps({"instances": rows}).encode())

    assert [one["label"] for one in found["predictions"]] == ["yes", "no", "yes", "no"]


def test_a_number_comes_out_with_its_measured_error(models: Path) -> None:
    card = card_of(models, "stock_regression")

    assert (card.task, card.labels, card.quality) == ("tabular", (), None)
    assert card.regression is not None
    assert card.regression.r2 > 0.9
    assert 0 < card.regression.mae <= card.regression.rmse
    assert all(one.largest_difference < 1e-4 for one in card.parity)
    assert {one.runtime for one in card.parity} == {"tensorflow", "openvino"}


def test_the_same_row_gets_the_same_number_by_every_door(server: Slipway, models: Path, ask: Ask) -> None:
    spec = card_of(models, "stock_regression").input
    assert isinstance(spec, TableInput)
    middle = [(column.low + column.high) / 2 for column in spec.columns]
    row = {column.name: value for column, value in zip(spec.columns, middle, strict=True)}

    body = json.dumps({"instances": [row]}).encode()
    [prediction] = ask("/v1/models/stock_regression/classify", body)["predictions"]
    served = ask("/v1/models/stock_regression:predict", json.dumps({"instances": [middle]}).encode())["predictions"]
    tensor = {"name": "row", "shape": [1, 5], "datatype": "FP32", "data": middle}
    oip = ask("/v2/models/stock_regression/infer", json.dumps({"inputs": [tensor]}).encode())["outputs"]

    assert prediction["value"] == pytest.approx(row["close"], rel=0.2)
    assert served == pytest.approx([prediction["value"]], rel=1e-6)
    assert oip[0]["data"] == pytest.approx([prediction["value"]], rel=1e-6)


def test_evaluate_measures_the_served_numbers_again(models: Path) -> None:
    folders = ["--models", str(models), "--cache-dir", str(models.parent / "cache"), "--quiet"]

    answer = CliRunner().invoke(cli, ["evaluate", "stock_regression", *folders], terminal_width=200)

    regression = card_of(models, "stock_regression").regression
    assert regression is not None
    assert answer.exit_code == 0, answer.output
    assert f"{regression.mae:.5g}" in answer.stdout


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_a_colored_photo_of_any_size_is_brought_to_the_model_s_input(ask: Ask, models: Path, name: str) -> None:
    file = io.BytesIO()
    Image.effect_noise((500, 333), 60).convert("RGB").save(file, "JPEG")

    [prediction] = ask(f"/v1/models/{name}/classify", file.getvalue(), "image/jpeg")["predictions"]

    assert prediction["label"] in card_of(models, name).labels
    assert len(card_of(models, name).labels) == 10


def test_texts_of_three_classes_are_told_apart(ask: Ask) -> None:
    body = json.dumps({"instances": list(ANIMALS.values())}).encode()

    found = ask("/v1/models/animals/classify", body)

    assert [one["label"] for one in found["predictions"]] == list(ANIMALS)
