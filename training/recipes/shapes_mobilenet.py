"""Sample model: which of four drawn shapes a picture shows, by a narrow MobileNetV2 from nothing."""

from typing import Any

import keras

from serving.card import ImageInput
from training import backbones
from training.recipe import Augment, BuildContext, Recipe, SourceSpec


def build(context: BuildContext) -> Any:
    """MobileNetV2 of width 0.35.

    Keras gives its batch normalization a momentum of 0.999, far too slow for a few hundred steps:
    the averages that inference uses would still be those of the first ones.
    """
    model = backbones.mobilenet_classifier(context)
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model


RECIPE = Recipe(
    name="shapes_mobilenet",
    summary="sample: four drawn shapes, a narrow MobileNetV2 trained from nothing",
    task="image_classification",
    input=ImageInput(height=96, width=96),
    source=SourceSpec(kind="sample", dataset="sample_shapes"),
    build=build,
    settings={"alpha": 0.35, "dropout": 0.1},
    learning_rate=4e-3,
    schedule="cosine",
    epochs=5,
    batch_size=32,
    augment=Augment(flip=True),
    licence="Apache-2.0, as this project.",
    limits="A sample: it learned from drawn shapes and knows nothing else.",
)
