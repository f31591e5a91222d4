"""Sample model: which of four drawn shapes a picture shows, by a small convolutional network."""

from typing import Any

import keras

from serving.card import ImageInput
from training.recipe import Augment, BuildContext, Recipe, SourceSpec


def build(context: BuildContext) -> Any:
    """Four convolutions with batch normalization and pooling, then one softmax layer."""
    image = keras.Input((64, 64, 3), dtype="uint8", name="image")
    maps = keras.layers.Rescaling(1 / 127.5, -1)(image)
    for filters in (16, 32, 48, 64):
        maps = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(maps)
        maps = keras.layers.BatchNormalization(momentum=0.9)(maps)
        maps = keras.layers.ReLU()(maps)
        maps = keras.layers.MaxPooling2D(2)(maps)
    pooled = keras.layers.GlobalMaxPooling2D()(maps)
    return keras.Model(
        image, keras.layers.Dense(len(context.labels), activation="softmax", name="probabilities")(pooled)
    )


RECIPE = Recipe(
    name="shapes_cnn",
    summary="sample: four drawn shapes, a small convolutional network",
    task="image_classification",
    input=ImageInput(height=64, width=64),
    source=SourceSpec(kind="sample", dataset="sample_shapes"),
    build=build,
    learning_rate=3e-3,
    schedule="cosine",
    epochs=4,
    batch_size=32,
    augment=Augment(flip=True),
    licence="Apache-2.0, as this project.",
    limits="A sample: it learned from drawn shapes and knows nothing else.",
)
