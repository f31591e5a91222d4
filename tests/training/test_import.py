from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras
import tensorflow as tf

from serving.errors import BadInput
from serving.modelserver.runtimes.choice import load
from training import imported_model
from training.export import Published
from training.imported_model import Import

from .conftest import SILENT


def network(outputs: int, activation: str | None) -> keras.Model:
    keras.utils.set_random_seed(0)
    entrance = keras.Input((20, 20, 3))
    maps = keras.layers.Conv2D(4, 3, activation="relu")(entrance)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(entrance, keras.layers.Dense(outputs, activation=activation)(pooled))


def words(folder: Path, *labels: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(labels) + "\n")
    return path


def publish(path: Path, labels: Path, **more: Any) -> Published:
    settings: dict[str, Any] = {"task": "image_classification", "models": path.parent / "models"} | more
    return imported_model.publish(Import(path=path, name="theirs", labels_file=labels, **settings), SILENT)


def served(found: Published, alias: str, batch: Any) -> Any:
    assert found.folder is not None
    with closing(load(found.folder)) as model:
        return model.run("serving_default", {alias: batch})["probabilities"]


@pytest.fixture(scope="module")
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), np.uint8)


@pytest.mark.parametrize(("scale", "factor", "offset"), [("0-1", 255, 0), ("-1-1", 127.5, -1), ("none", 1, 0)])
def test_a_keras_file_is_served_on_the_scale_that_it_learned_on(
    pixels: Any, tmp_path: Path, scale: str, factor: float, offset: float
) -> None:
    model = network(3, "softmax")
    model.save(tmp_path / "model.keras")

    found = publish(tmp_path / "model.keras", words(tmp_path, "a", "b", "c"), scale=scale)

    expected = model.predict_on_batch(pixels.astype(np.float32) / factor + offset)
    np.testing.assert_allclose(served(found, "image", pixels), expected, atol=1e-5)
    assert found.card.labels == ("a", "b", "c")
    assert found.card.dataset.source == "unknown"
    assert found.card.quality is None
    assert {one.runtime for one in found.card.parity} == {"tensorflow", "openvino"}


def test_a_saved_model_is_taken_as_well(pixels: Any, tmp_path: Path) -> None:
    model = network(2, "softmax")
    model.export(tmp_path / "model", verbose=False)

    found = publish(tmp_path / "model", words(tmp_path, "a", "b"))

    expected = model.predict_on_batch(pixels.astype(np.float32))
    np.testing.assert_allclose(served(found, "image", pixels), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "activation", "kind"),
    [
        pytest.param(2, None, "logits", id="logits"),
        pytest.param(1, "sigmoid", "one probability", id="sigmoid"),
        pytest.param(2, "softmax", "probabilities", id="softmax"),
    ],
)
def test_outputs_of_any_kind_become_probabilities(
    pixels: Any, tmp_path: Path, outputs: int, activation: str | None, kind: str
) -> None:
    network(outputs, activation).save(tmp_path / "model.keras")

    found = publish(tmp_path / "model.keras", words(tmp_path, "a", "b"), scale="0-1")
    answers = served(found, "image", pixels)

    assert found.card.training["outputs"] == kind
    assert answers.shape == (6, 2)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_test_folder_gives_the_card_a_measured_quality(pictures: Path, cache: Path, tmp_path: Path) -> None:
    network(2, "softmax").save(tmp_path / "model.keras")

    found = publish(tmp_path / "model.keras", words(tmp_path, "star", "circle"), test_dir=pictures, cache=cache)

    assert found.card.quality is not None
    assert found.card.quality.examples == 16
    assert [sum(row) for row in found.card.quality.confusion] == [8, 8]


def test_a_text_model_that_takes_strings_is_served_by_tensorflow(tmp_path: Path) -> None:
    vectorize = keras.layers.TextVectorization(max_tokens=50, output_sequence_length=8)
    vectorize.adapt(["a good film", "a bad film", "not good at all"])
    entrance = keras.Input((1,), dtype="string")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(50, 4)(vectorize(entrance)))
    model = keras.Model(entrance, keras.layers.Dense(1, activation="sigmoid")(pooled))
    model.save(tmp_path / "model.keras")

    found = publish(tmp_path / "model.keras", words(tmp_path, "neg", "pos"), task="text_classification")

    texts = np.array([b"a good film", b"not good"], object)
    expected = model.predict_on_batch(tf.constant(texts)[:, None])
    np.testing.assert_allclose(served(found, "text", texts)[:, 1:], expected, atol=1e-5)
    assert "prepared" not in found.card.signatures


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"not a model", "neither a .keras file nor a SavedModel", id="no-model"),
        pytest.param(b"PK\x05\x06" + bytes(18), "cannot be opened by Keras", id="empty-zip"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "model.keras").write_bytes(content)

    with pytest.raises(BadInput, match=complaint):
        publish(tmp_path / "model.keras", words(tmp_path, "a", "b"))


def test_labels_that_do_not_fit_the_outputs_are_refused(tmp_path: Path) -> None:
    network(3, "softmax").save(tmp_path / "model.keras")

    with pytest.raises(BadInput, match="3 outputs for 4 labels: the label 'd' has no output"):
        publish(tmp_path / "model.keras", words(tmp_path, "a", "b", "c", "d"))
    with pytest.raises(BadInput, match="at least two labels"):
        publish(tmp_path / "model.keras", words(tmp_path, "a", "a"))
    assert not (tmp_path / "models").exists()


def test_a_picture_model_is_not_taken_for_a_text_model(tmp_path: Path) -> None:
    network(2, "softmax").save(tmp_path / "model.keras")

    with pytest.raises(BadInput, match="takes float32, not strings"):
        publish(tmp_path / "model.keras", words(tmp_path, "a", "b"), task="text_classification")


def test_a_model_whose_answers_depend_on_their_neighbors_is_refused(tmp_path: Path) -> None:
    class Centered(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 20, 20, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> Any:
            means = tf.reduce_mean(x, [1, 2])[:, :2]
            return {"y": tf.nn.softmax(means - tf.reduce_mean(means, 0))}

    centered = Centered()
    tf.saved_model.save(centered, str(tmp_path / "model"), signatures={"serving_default": centered.serve})

    with pytest.raises(BadInput, match="otherwise when others stand beside it"):
        publish(tmp_path / "model", words(tmp_path, "a", "b"))
