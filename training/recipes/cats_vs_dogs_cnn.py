"""Cats and dogs from nothing: the plain convolutional network that beginners' courses start with."""

from typing import Any

import keras

from serving.card import ImageInput
from training.recipe import BuildContext, Recipe, SourceSpec


def build(context: BuildContext) -> Any:
    """Three convolutions with pooling, 512 hidden units, two outputs: 13,132,322 parameters."""
    return keras.Sequential(
        [
            keras.Input((160, 160, 3), dtype="uint8", name="image"),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(2, activation="softmax", name="probabilities"),
        ]
    )


RECIPE = Recipe(
    name="cats_vs_dogs_cnn",
    summary="cats and dogs, a plain convolutional network of 13.1 M parameters: the baseline",
    task="image_classification",
    input=ImageInput(height=160, width=160),
    source=SourceSpec(kind="tfds", dataset="cats_vs_dogs", tfds_name="cats_vs_dogs"),
    labels=("cat", "dog"),
    build=build,
    optimizer="rmsprop",
    learning_rate=1e-4,
    epochs=15,
    batch_size=32,
    licence="Photos: the terms of Kaggle's Dogs vs. Cats competition.",
    limits="A baseline to compare with; says cat or dog of any picture.",
)
