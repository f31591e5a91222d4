"""Networks that convolve, with a card: compiled for exactly one row, and for two once so many come."""

import shutil
import threading
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
from serving.modelserver.runtimes.openvino_growth import WORTH_IT
from serving.modelserver.runtimes.protocol import LoadedModel, RuntimeOptions, Signature, TensorSpec
from serving.wire.dtypes import FLOAT
from training import quantized, saved_model_writer

GROWTH = "openvino-growth"
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
    assert model.best_rows == 2


def programs(model: LoadedModel) -> set[int]:
    """Rows that serving_default has a program for, once nothing is being compiled any more."""
    for thread in threading.enumerate():
        if thread.name == GROWTH:
            thread.join(60)
    return {shapes[0][0] for shapes in model._compiled["serving_default"]._exact}  # type: ignore[attr-defined]


def test_two_rows_have_a_program_of_their_own_once_they_come_often(model: LoadedModel) -> None:
    alone = [ask(model, noise(2)) for _ in range(WORTH_IT - 1)]
    assert programs(model) == {1}

    ask(model, noise(2))

    assert programs(model) == {1, 2}
    np.testing.assert_allclose(ask(model, noise(5))[:2], alone[0], atol=1e-6)


def test_requests_are_answered_while_the_program_for_two_rows_is_made(model: LoadedModel) -> None:
    expected, answers = ask(model, noise(1)), []

    def keep_asking() -> None:
        for _ in range(50):
            answers.append(ask(model, noise(2))[:1])

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(answers) == 200
    np.testing.assert_allclose(np.concatenate(answers), np.repeat(expected, 200, axis=0), atol=1e-6)
    assert programs(model) == {1, 2}


def test_a_version_whose_files_have_gone_still_gets_its_program_for_two_rows(version: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(version, tmp_path / "1"))
    with closing(choice.load(folder, RuntimeOptions(runtime="openvino", precision="f32"))) as loaded:
        alone = ask(loaded, noise(2))
        shutil.rmtree(folder)

        for _ in range(WORTH_IT):
            assert ask(loaded, noise(2)).shape == (2, 3)
        assert programs(loaded) == {1, 2}
        np.testing.assert_allclose(ask(loaded, noise(2)), alone, atol=1e-6)


def test_a_version_is_closed_while_its_program_for_two_rows_is_made(version: Path) -> None:
    loaded = choice.load(version, RuntimeOptions(runtime="openvino", precision="f32"))
    for _ in range(WORTH_IT):
        ask(loaded, noise(2))
    loaded.close()

    assert not [thread for thread in threading.enumerate() if thread.name == GROWTH]


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


def test_what_does_not_convolve_or_answers_no_rows_is_compiled_for_any_number_of_rows() -> None:
    rows, one = TensorSpec(FLOAT, (-1, 3), "y:0"), TensorSpec(FLOAT, (3,), "z:0")
    answers_rows, answers_one = Signature("s", {}, {"y": rows}), Signature("s", {}, {"y": rows, "z": one})

    assert own_rows({"Conv2D", "MatMul"}, answers_rows) == own_rows({"DepthwiseConv2dNative"}, answers_rows) == (1, 2)
    assert own_rows({"MatMul", "Softmax"}, answers_rows) == ()
    assert own_rows({"Conv2D", "MatMul"}, answers_one) == ()


def test_without_a_card_nobody_says_that_rows_stand_alone(saved_models: Path) -> None:
    with closing(choice.load(saved_models / "convolutions" / "1", RuntimeOptions(runtime="openvino"))) as loaded:
        assert loaded.best_rows == 1
        assert not loaded._compiled["serving_default"]._exact  # type: ignore[attr-defined]
