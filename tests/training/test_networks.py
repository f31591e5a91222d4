"""The small networks: how large they are, and that their options reach them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras

from serving.card import ImageInput, TextInput
from serving.errors import BadInput
from training import networks, recipes, served_model
from training.recipe import BuildContext, Examples

NOTHING: Any = Examples([], [], [])  # type: ignore[arg-type]  # these networks do not look at data


def built(name: str, settings: Mapping[str, Any] | None = None, weights: str = "none") -> Any:
    recipe = recipes.find(name)
    context = BuildContext(
        input=recipe.input, labels=recipe.labels or ("a", "b", "c"), train=NOTHING, seed=0, backbone_weights=weights,
        settings={**recipe.settings, **(settings or {})}, cache_dir=Path(),
    )  # fmt: skip
    return recipe.build(context)


def kinds(network: Any) -> set[str]:
    return {type(layer).__name__ for layer in network.layers}


def test_the_small_network_has_at_most_a_thirtieth_of_the_baseline_s_parameters() -> None:
    small = built("cats_vs_dogs_small")

    assert small.count_params() <= min(400_000, built("cats_vs_dogs_cnn").count_params() / 30)
    assert {"DepthwiseConv2D", "BatchNormalization", "Add", "GlobalAveragePooling2D"} <= kinds(small)
    assert {layer.momentum for layer in small.layers if isinstance(layer, keras.layers.BatchNormalization)} == {0.9}


@pytest.mark.parametrize("name", ["cats_vs_dogs_cnn", "cats_vs_dogs_small", "shapes_cnn", "cifar100"])
def test_a_network_that_was_never_called_has_probabilities_and_features_to_judge(name: str) -> None:
    whole = served_model.with_features(built(name))

    assert set(whole.output) == {"probabilities", "features"}
    assert set(served_model.build(built(name), 1.5, None).output) == {"probabilities"}


@pytest.mark.parametrize("name", ["cats_vs_dogs_small", "mnist", "cifar100", "image_folder"])
def test_batch_normalization_and_dropout_can_be_left_out(name: str) -> None:
    plain = built(name, {"batch_normalization": False, "dropout": 0.0})

    assert not {"BatchNormalization", "Dropout"} & kinds(plain)
    assert {"BatchNormalization", "Dropout"} <= kinds(built(name))


def test_a_backbone_does_not_go_without_its_batch_normalization() -> None:
    with pytest.raises(BadInput, match="leave --no-batch-normalization out, or --backbone-weights"):
        built("image_folder", {"batch_normalization": False}, weights="mobilenet.h5")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_every_little_network_ends_in_one_output_a_label(name: str) -> None:
    recipe, network = recipes.find(name), built(name)
    assert isinstance(recipe.input, ImageInput)
    assert recipe.labels is not None

    assert network.input_shape == (None, recipe.input.height, recipe.input.width, recipe.input.channels)
    assert network.output_shape == (None, len(recipe.labels))
    assert network.count_params() < 1_500_000


def test_texts_of_any_number_of_labels_become_the_mean_of_their_vectors() -> None:
    recipe = replace(recipes.find("text_folder"), input=TextInput(bits=4))
    context = BuildContext(
        input=recipe.input, labels=("a", "b", "c"), train=NOTHING, seed=0, backbone_weights="none",
        settings={"size": 5}, cache_dir=Path(),
    )  # fmt: skip
    network = networks.bag_of_ngrams(context)
    short, padded = keras.ops.array([[1, 2]]), keras.ops.array([[1, 2, 16, 16]])

    assert network.output_shape == (None, 3)
    assert keras.ops.all(keras.ops.isclose(network(short), network(padded)))
