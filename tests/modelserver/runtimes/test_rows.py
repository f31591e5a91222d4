"""Networks that convolve, with a card: compiled for exactly one row, or one and four."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
pytest.importorskip("nncf", reason="makes int8 models: make install")

import keras

from serving import repository
from serving.card import Dataset, ImageInput, ModelCard
from serving.errors import BadInput
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.on_openvino import own_rows
from serving.modelserver.runtimes.openvino_compiled import MANY
from serving.modelserver.runtimes.protocol import LoadedModel, RuntimeOptions
from training import quantized, saved_model_writer

SPEC = ImageInput(height=24, width=24)


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 24, 24, 3), np.uint8)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as training writes it, with an int8 form."""
    folder = tmp_path_factory.mktemp("spots") / "1"
    keras.utils.set_random_seed(0)
    image = keras.Input((24, 24, 3), dtype="uint8", name="image")
    maps = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    pooled = keras.layers.GlobalMaxPooling2D()(maps)
    network = keras.Model(image, keras.layers.Dense(3, activation="softmax")(pooled))
    signatures = saved_model_writer.write(network, SPEC, folder)
    quantized.write(folder, "serving_default", [noise(16)])
    card = ModelCard(
        name="spots",
        version=1,
        task="image_classification",
        labels=("a", "b", "c"),
        input=SPEC,
        signatures=signatures,
        dataset=Dataset(name="noise", source="sample"),
        allowed_precisions=("f32", "int8"),
        created="2026-01-31T12:00:00Z",
    )
    (folder / repository.CARD_FILE).write_text(card.to_json())
    return folder


@pytest.fixture(params=["f32", "int8"])
def model(request: pytest.FixtureRequest, version: Path) -> Iterator[LoadedModel]:
    options = RuntimeOptions(runtime="openvino", precision=request.param, imitate=True)
    with closing(choice.load(version, options)) as loaded:
        yield loaded


def ask(model: LoadedModel, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return model.run("serving_default", {"image": pictures})["probabilities"]


def test_requests_are_merged_as_far_as_it_saves_work(model: LoadedModel) -> None:
    assert model.best_rows == {"f32": 1, "int8": 4}[model.precision]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 11])
def test_a_request_of_many_rows_is_answered_row_by_row(model: LoadedModel, rows: int) -> None:
    together = ask(model, noise(rows))

    assert together.shape == (rows, 3)
    np.testing.assert_allclose(together, [ask(model, one[None])[0] for one in noise(rows)], atol=1e-6)


def test_a_request_of_no_rows_has_an_answer_of_no_rows(model: LoadedModel) -> None:
    assert ask(model, noise(0)).shape == (0, 3)


def test_float32_is_the_networks_own_answer_however_many_rows(version: Path) -> None:
    asked = RuntimeOptions(runtime="openvino", precision="f32")
    original = RuntimeOptions(runtime="tensorflow")
    with closing(choice.load(version, asked)) as ours, closing(choice.load(version, original)) as theirs:
        np.testing.assert_allclose(ask(ours, noise(7)), ask(theirs, noise(7)), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 24, 24, 1), (2, 24, 24, 4), (24, 24, 3), (1, 1, 24, 24, 3)])
def test_other_shapes_are_refused_as_ever(model: LoadedModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput):
        ask(model, np.zeros(shape, np.uint8))


def test_what_does_not_convolve_is_compiled_for_any_number_of_rows() -> None:
    assert own_rows({"MatMul", "Softmax"}, "f32") == ()
    assert own_rows({"Conv2D", "MatMul"}, "f32") == (1,)
    assert own_rows({"DepthwiseConv2dNative"}, "bf16") == (1, 4)


def test_without_a_card_nobody_says_that_rows_stand_alone(saved_models: Path) -> None:
    with closing(choice.load(saved_models / "convolutions" / "1", RuntimeOptions(runtime="openvino"))) as loaded:
        assert loaded.best_rows == MANY
