from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras

from serving.card import ImageInput, TextInput
from serving.errors import BadInput, ServingError
from training import backbones, features, fit, fitting
from training.batches import Batches, augmented
from training.class_folders import ClassFolders
from training.prepared_cache import PreparedData, prepared
from training.recipe import Augment, BuildContext, Examples, FineTune, RaggedIds, Recipe

from .conftest import SILENT
from .tiny import TINY, build_tiny

SMALL = ImageInput(height=32, width=32)


@pytest.fixture(scope="module")
def data(pictures: Path, cache: Path) -> PreparedData:
    return prepared(ClassFolders(pictures, "shapes"), TINY.input, cache, SILENT, lambda labels: None)


@pytest.fixture(scope="module")
def small(pictures: Path, cache: Path) -> PreparedData:
    return prepared(ClassFolders(pictures, "shapes"), SMALL, cache, SILENT, lambda labels: None)


def context(data: PreparedData, spec: ImageInput, cache: Path, weights: str) -> BuildContext:
    return BuildContext(
        input=spec, labels=data.labels, train=data.train, seed=0, backbone_weights=weights,
        settings={"alpha": 0.35}, cache_dir=cache,
    )  # fmt: skip


def fitted(data: PreparedData, cache: Path, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = build_tiny(context(data, ImageInput(height=24, width=24), cache, "none"))
    recipe = replace(TINY, augment=Augment(flip=True, shift=0.1), label_smoothing=0.1, schedule="cosine", epochs=1)
    fit.fit(model, fit.Run(recipe=recipe, data=data, seed=seed, cache=cache, progress=SILENT))
    return model


def test_the_same_seed_gives_the_same_weights_and_another_does_not(data: PreparedData, cache: Path) -> None:
    first, again, other = (fitted(data, cache, seed).get_weights() for seed in (1, 1, 2))

    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_every_epoch_deals_all_examples_in_a_new_order(data: PreparedData) -> None:
    batches = Batches(data.train, TINY.input, 16, seed=3)
    epochs = []
    for epoch in range(2):
        batches.deal(epoch)
        epochs.append(np.concatenate([batches[index][0] for index in range(len(batches))]).sum(axis=(1, 2, 3)))

    assert sorted(epochs[0]) == sorted(epochs[1])
    assert not np.array_equal(epochs[0], epochs[1])


def test_augmenting_flips_some_pictures_moves_all_and_leaves_the_original_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    before = pixels.copy()

    flipped = augmented(pixels, Augment(flip=True), np.random.default_rng(0))
    moved = augmented(pixels, Augment(shift=0.5), np.random.default_rng(0))

    turned = [np.array_equal(one, two[:, ::-1]) for one, two in zip(flipped, pixels, strict=True)]
    assert 0 < sum(turned) < 20
    assert moved.shape == pixels.shape
    assert not np.array_equal(moved, pixels)
    np.testing.assert_array_equal(pixels, before)


def test_texts_are_dealt_padded_to_the_longest_of_their_batch() -> None:
    ids = RaggedIds(np.arange(6, dtype=np.int32), np.array([0, 1, 6]))
    examples = Examples(ids, np.array([0, 1], np.int32), ["short", "long"])

    inputs, _ = Batches(examples, TextInput(bits=4), 2)[0]

    np.testing.assert_array_equal(inputs, [[0, 16, 16, 16, 16], [1, 2, 3, 4, 5]])
    assert examples.batch([1], TextInput(bits=4, length=2)).tolist() == [[1, 2]]


def build_on_backbone(context: BuildContext) -> keras.Model:
    """Laid out as the MobileNet recipes are, with a backbone of two layers."""
    entrance = keras.Input((32, 32, 3))
    inner = keras.layers.Conv2D(6, 3, strides=4, activation="relu")(entrance)
    backbone = keras.Model(entrance, keras.layers.BatchNormalization()(inner), trainable=False)
    image = keras.Input((32, 32, 3), dtype="uint8")
    maps = backbone(keras.layers.Rescaling(1 / 127.5, -1)(image), training=False)
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(maps)
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(pooled))


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a narrow MobileNetV2, as a person would have them as a file."""
    path = tmp_path_factory.mktemp("weights") / "narrow.weights.h5"
    backbones.load_mobilenet(SMALL, 0.35, "none").save_weights(path)
    return path


def test_a_frozen_backbone_is_run_once_and_its_head_trains_the_whole(small: PreparedData, tmp_path: Path) -> None:
    recipe: Recipe = replace(
        TINY, input=SMALL, build=build_on_backbone, split=backbones.split, augment=Augment(flip=True),
        fine_tune=FineTune(layers=2, learning_rate=1e-4, epochs=1),
    )  # fmt: skip
    model = recipe.build(context(small, SMALL, tmp_path, "none"))
    before = model.predict_on_batch(small.test.batch(range(4), SMALL))
    run = fit.Run(recipe=recipe, data=small, seed=0, cache=tmp_path, progress=SILENT)

    fit.fit(model, run)

    assert [phase.name for phase in run.phases] == ["head", "fine-tuning"]
    assert not np.allclose(model.predict_on_batch(small.test.batch(range(4), SMALL)), before)
    assert len(list(tmp_path.glob("features-*/features.npy"))) == 3  # train twice, mirrored too; validation once


def test_features_are_those_of_the_frozen_part_and_change_with_its_weights(
    small: PreparedData, weights_file: Path, tmp_path: Path
) -> None:
    model = backbones.mobilenet_classifier(context(small, SMALL, tmp_path, str(weights_file)))
    split = backbones.split(model)
    assert split is not None
    frozen = split.frozen
    found = features.of_split(frozen, small, "test", SMALL, flip=False, cache=tmp_path, progress=SILENT)
    np.testing.assert_allclose(
        found.batch(range(16), SMALL), frozen.predict_on_batch(small.test.batch(range(16), SMALL)), atol=1e-4
    )

    frozen.set_weights([weight * 1.1 for weight in frozen.get_weights()])
    features.of_split(frozen, small, "test", SMALL, flip=False, cache=tmp_path, progress=SILENT)

    assert len(list(tmp_path.glob("features-*"))) == 2


def test_without_weights_the_whole_backbone_learns(small: PreparedData, tmp_path: Path) -> None:
    model = backbones.mobilenet_classifier(context(small, SMALL, tmp_path, "none"))

    assert backbones.split(model) is None
    assert len(model.trainable_weights) > 100


def test_a_weights_file_that_is_not_there_or_does_not_fit_is_refused(weights_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.h5 is no file"):
        backbones.load_mobilenet(SMALL, 0.35, str(tmp_path / "nowhere.h5"))
    with pytest.raises(BadInput, match="does not hold the weights of MobileNetV2"):
        backbones.load_mobilenet(SMALL, 1.0, str(weights_file))


def test_a_loss_that_is_no_number_stops_the_run(data: PreparedData, cache: Path) -> None:
    model = build_tiny(context(data, ImageInput(height=24, width=24), cache, "none"))
    model.set_weights([weight * np.nan for weight in model.get_weights()])

    with pytest.raises(BadInput, match="not a number any more"):
        fit.fit(model, fit.Run(recipe=TINY, data=data, seed=0, cache=cache, progress=SILENT))


def test_a_network_with_too_few_outputs_is_refused_by_the_name_of_the_label(data: PreparedData, cache: Path) -> None:
    model = build_tiny(context(data, ImageInput(height=24, width=24), cache, "none"))

    with pytest.raises(ServingError, match=r"'square' has no output: tiny has 2 for 3 labels"):
        fitting.check_outputs(model, ("circle", "star", "square"), "tiny")
