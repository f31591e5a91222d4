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

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from click.testing import CliRunner

from clients.grpc_client import GrpcClient
from serving import repository
from serving.card import ModelCard, TableInput
from tests.processes import Slipway, slipway
from training.__main__ import cli

from .test_array_files import drawn, write_cifar10, write_idx

PEOPLE = {"fish": "The herring swims in the cold sea.", "bird": "A swift flies over the roofs.", "cat": "It purrs."}


def write_texts(folder: Path) -> None:
    for label, sentence in PEOPLE.items():
        (folder / label).mkdir(parents=True)
        for number in range(20):
            (folder / label / f"{number}.txt").write_text(f"{sentence} Number {number} of {label}.")


def write_houses(path: Path) -> None:
    random = np.random.default_rng(0)
    rows = random.uniform((1, 20), (9, 200), (300, 2))
    lines = (f"{rooms:.2f},{area:.2f},{1000 * rooms + 50 * area:.1f}" for rooms, area in rows)
    path.write_text("\n".join(["rooms,area,price", *lines]))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six models, each trained for a few steps."""
    place = tmp_path_factory.mktemp("recipes")
    (place / "idx").mkdir()
    (place / "bin").mkdir()
    write_idx(place / "idx", drawn((28, 28), 10, 1), drawn((28, 28), 10, 2))
    write_cifar10(place / "bin", drawn((32, 32, 3), 10, 1), drawn((32, 32, 3), 10, 2))
    write_texts(place / "texts")
    write_houses(place / "houses.csv")
    folders = ["--models", place / "models", "--cache-dir", place / "cache", "--runs", place / "runs", "--quiet"]
    for words in (
        ("xor",),
        ("stock_regression", "--epochs", 10),
        ("table", "--data-dir", place / "houses.csv", "--target", "price", "--name", "houses", "--epochs", 40),
        ("fashion_mnist", "--data-dir", place / "idx", "--epochs", 1),
        ("cifar10", "--data-dir", place / "bin", "--epochs", 1),
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


@pytest.mark.parametrize(("name", "least"), [("stock_regression", 0.9), ("houses", 0.9)])
def test_a_number_comes_out_with_its_measured_error(models: Path, name: str, least: float) -> None:
    card = card_of(models, name)

    assert (card.task, card.labels, card.quality) == ("tabular", (), None)
    assert card.regression is not None
    assert card.regression.r2 > least
    assert 0 < card.regression.mae <= card.regression.rmse
    assert all(one.largest_difference < 1e-4 for one in card.parity)
    assert {one.runtime for one in card.parity} == {"tensorflow", "openvino"}


def test_the_same_row_gets_the_same_number_by_every_door(server: Slipway, models: Path, ask: Ask) -> None:
    row = {"area": 100.0, "rooms": 4.0}
    columns = [column.name for column in table_of(models, "houses").columns]
    values = [row[name] for name in columns]

    [prediction] = ask("/v1/models/houses/classify", json.dumps({"instances": [row]}).encode())["predictions"]
    served = ask("/v1/models/houses:predict", json.dumps({"instances": [values]}).encode())["predictions"]
    tensor = {"name": "row", "shape": [1, 2], "datatype": "FP32", "data": values}
    oip = ask("/v2/models/houses/infer", json.dumps({"inputs": [tensor]}).encode())["outputs"]
    with GrpcClient(server.grpc) as client:
        card = client.card("houses")

    assert prediction["value"] == pytest.approx(1000 * 4 + 50 * 100, rel=0.1)
    assert served == pytest.approx([prediction["value"]], rel=1e-6)
    assert oip[0]["data"] == pytest.approx([prediction["value"]], rel=1e-6)
    assert card.regression == card_of(models, "houses").regression


def table_of(models: Path, name: str) -> TableInput:
    spec = card_of(models, name).input
    assert isinstance(spec, TableInput)
    return spec


def test_evaluate_measures_the_served_numbers_again(models: Path) -> None:
    place = models.parent
    data = ["--data-dir", str(place / "houses.csv"), "--target", "price"]
    folders = ["--models", str(models), "--cache-dir", str(place / "cache"), "--quiet"]

    answer = CliRunner().invoke(cli, ["evaluate", "houses", *data, *folders], terminal_width=200)

    regression = card_of(models, "houses").regression
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
    body = json.dumps({"instances": list(PEOPLE.values())}).encode()

    found = ask("/v1/models/animals/classify", body)

    assert [one["label"] for one in found["predictions"]] == list(PEOPLE)
