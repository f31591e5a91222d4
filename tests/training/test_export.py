from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras
import tensorflow as tf

from serving import repository
from serving.card import Dataset, ImageInput, ModelCard, Parity, TextInput
from serving.errors import FailedPrecondition
from serving.modelserver.runtimes.choice import load
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.preprocess import image, text
from serving.wire import protos, tensors
from training import export, parity, sample_texts
from training.export import Candidate

SPEC = ImageInput(height=16, width=16)
WORDS = TextInput(bits=8, orders=2)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)


def picture_network(width: int = 4) -> keras.Model:
    entrance = keras.Input((16, 16, 3), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(entrance))
    hidden = keras.layers.Dense(width, activation="relu")(flat)
    return keras.Model(entrance, keras.layers.Dense(3, activation="softmax")(hidden))


def candidate(model: Any, pixels: NDArray[np.uint8]) -> Candidate:
    return Candidate(
        name="hues",
        model=model,
        task="image_classification",
        labels=("red", "green", "blue"),
        input=SPEC,
        dataset=Dataset(name="noise", source="sample"),
        quality=None,
        batches=[pixels[:32], pixels[32:]],
        originals=[],
        training={"seed": 0},
    )


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return picture_network()


@pytest.fixture(scope="module")
def hues(network: keras.Model, pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a published version."""
    found = export.publish(candidate(network, pixels), tmp_path_factory.mktemp("models"))
    assert found.folder is not None
    return found.folder


def test_every_runtime_was_compared_with_keras_and_agrees(hues: Path) -> None:
    card = repository.read_card(hues)

    assert card is not None
    exact = {one.runtime: one for one in card.parity if one.precision == "f32"}
    assert set(exact) == {"tensorflow", "openvino"}
    assert all(one.largest_difference < 1e-5 and one.top1_agreement == 1 for one in exact.values())
    assert all(one.examples == 40 for one in exact.values())


@pytest.mark.parametrize("runtime", ["tensorflow", "openvino"])
def test_what_is_served_is_what_keras_answers(
    hues: Path, network: keras.Model, pixels: NDArray[np.uint8], runtime: Any
) -> None:
    with closing(load(hues, RuntimeOptions(runtime=runtime, precision="f32"))) as model:
        answers = model.run("serving_default", {"image": pixels})["probabilities"]

    np.testing.assert_allclose(answers, network.predict_on_batch(pixels), atol=1e-5)


def test_the_card_is_a_signature_without_checksums_and_a_file_with_them(hues: Path) -> None:
    with closing(load(hues, RuntimeOptions(runtime="tensorflow"))) as model:
        said = model.run("card", {"request": np.zeros(2, np.int32)})["card"]
    by_signature, by_file = ModelCard.from_json(said[0]), repository.read_card(hues)

    assert said.shape == (2,)
    assert by_file is not None
    assert replace(by_file, files={}) == by_signature
    assert by_file.files == repository.checksums(hues)


def test_every_weight_is_stored_once(tmp_path: Path) -> None:
    model, noise = picture_network(width=4000), np.zeros((1, 16, 16, 3), np.uint8)  # 3.1 M parameters, 12.3 MB
    found = export.publish(candidate(model, noise), tmp_path)

    assert found.folder is not None
    stored = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
    assert 4 * model.count_params() < stored < 1.1 * 4 * model.count_params()


def test_warm_up_requests_are_ones_that_the_version_answers(hues: Path) -> None:
    records = list(tf.data.TFRecordDataset(str(hues / repository.WARMUP_FILE)).as_numpy_iterator())
    asked = [protos.PredictionLog.FromString(record).predict_log.request for record in records]
    loaded = tf.saved_model.load(str(hues))

    assert [one.model_spec.signature_name for one in asked] == ["serving_default", "serving_default", "encoded"]
    for request in asked:
        inputs = {name: tf.constant(tensors.from_proto(tensor)) for name, tensor in request.inputs.items()}
        answer = loaded.signatures[request.model_spec.signature_name](**inputs)
        assert np.isfinite(answer["probabilities"]).all()


def test_whole_files_are_prepared_in_the_graph_nearly_as_the_gateway_prepares_them(
    trained: Any, pictures: Path
) -> None:
    card, folder = trained.published.card, trained.published.folder
    files = [path.read_bytes() for path in sorted((pictures / "test" / "star").iterdir())]
    pixels = np.stack([image.to_pixels(file, card.input) for file in files])

    with closing(load(folder, RuntimeOptions(runtime="tensorflow"))) as model:
        encoded = model.run("encoded", {"image_bytes": np.array(files, object)})["probabilities"]
        ours = model.run("serving_default", {"image": pixels})["probabilities"]

    assert 0 < card.encoded_tolerance < 0.2
    np.testing.assert_allclose(encoded, ours, atol=2 * card.encoded_tolerance)


class Changed:
    """A model that answers Keras' questions otherwise than it is saved: what a faulty conversion looks like."""

    def __init__(self, model: keras.Model, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self._model, self._change = model, change

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        return self._model(inputs, training=training)

    def predict_on_batch(self, batch: NDArray[Any]) -> NDArray[Any]:
        return self._change(self._model.predict_on_batch(batch))


def test_a_version_that_answers_otherwise_than_keras_is_not_published(
    network: keras.Model, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    changed = Changed(network, lambda answers: answers + np.float32(3e-4))

    with pytest.raises(FailedPrecondition, match=r"not published.*differs from Keras by 0\.0003"):
        export.publish(candidate(changed, pixels), tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_trial_leaves_nothing_behind(network: keras.Model, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    found = export.publish(candidate(network, pixels), tmp_path, trial=True)

    assert found.folder is None
    assert found.card.parity
    assert not list(tmp_path.iterdir())


def test_a_text_model_takes_strings_and_ids_and_answers_both_alike(tmp_path: Path) -> None:
    ids = keras.Input((None,), dtype="int32")
    counted = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(2**WORDS.bits + 1, 2)(ids))
    model = keras.Model(ids, keras.layers.Dense(2, activation="softmax")(counted))
    random = np.random.default_rng(0)
    reviews = [sample_texts.write(opinion, random).encode() for opinion in sample_texts.OPINIONS * 6]
    batch = text.to_batch(reviews, WORDS)
    found = export.publish(
        Candidate(
            name="opinions", model=model, task="text_classification", labels=sample_texts.OPINIONS, input=WORDS,
            dataset=Dataset(name="generated", source="sample"), quality=None, batches=[batch], originals=reviews,
        ),
        tmp_path,
    )  # fmt: skip

    assert found.folder is not None
    with closing(load(found.folder, RuntimeOptions(runtime="tensorflow"))) as served:
        by_strings = served.run("serving_default", {"text": np.array(reviews, object)})["probabilities"]
        by_ids = served.run("prepared", {"ids": batch})["probabilities"]
    np.testing.assert_allclose(by_strings, model.predict_on_batch(batch), atol=1e-5)
    np.testing.assert_allclose(by_ids, by_strings, atol=1e-6)
    assert {one.runtime for one in found.card.parity} == {"tensorflow", "openvino"}
    assert found.card.signatures["prepared"] == "prepared"


def test_a_changed_first_place_counts_only_where_keras_was_decided() -> None:
    ours = np.array([[0.9, 0.1], [0.505, 0.495], [0.2, 0.8]])
    theirs = np.array([[0.9, 0.1], [0.495, 0.505], [0.6, 0.4]])

    assert parity.agreement(ours, theirs) == pytest.approx(2 / 3)
    assert parity.largest_difference(ours, theirs) == pytest.approx(0.4)


def test_answers_that_are_no_numbers_differ_without_limit() -> None:
    assert parity.largest_difference(np.array([[0.5, 0.5]]), np.array([[np.nan, 0.5]])) == float("inf")


@pytest.mark.parametrize(
    ("agreement", "allowed"),
    [pytest.param(0.995, ("f32", "bf16"), id="enough"), pytest.param(0.994, ("f32",), id="less")],
)
def test_a_precision_is_allowed_from_995_in_a_thousand_on(agreement: float, allowed: tuple[str, ...]) -> None:
    def one(precision: Any, share: float) -> Parity:
        return Parity(
            runtime="openvino", precision=precision, examples=1000, largest_difference=0.0, top1_agreement=share
        )

    assert export._allowed([one("f32", 1.0), one("bf16", agreement)]) == allowed
    assert export._allowed([one("f32", 1.0)]) == ("f32",)


def test_bfloat16_is_measured_or_the_reason_is_told(
    network: keras.Model, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    found = export.publish(candidate(network, pixels), tmp_path, trial=True)
    measured = [one for one in found.card.parity if one.precision == "bf16"]

    assert len(measured) + len(found.remarks) == 1
    assert ("bf16" in found.card.allowed_precisions) == any(one.top1_agreement >= 0.995 for one in measured)
    assert all(0 < one.largest_difference < 0.05 for one in measured)
    assert all("bf16 was not measured" in remark for remark in found.remarks)
