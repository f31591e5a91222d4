"""Sample model: which of four drawn shapes a picture shows, by MobileNetV2's blocks on a small scale.

The whole MobileNetV2 is too deep to learn from some hundred pictures in a minute. Four of its blocks
are not, and a server meets the same operations in them: depthwise convolutions and linear bottlenecks.
"""

from typing import Any

import keras

from serving.card import ImageInput
from training.recipe import Augment, BuildContext, Recipe, SourceSpec

_BLOCKS = ((24, 1), (40, 2), (40, 1), (64, 2))
"""Channels that come out and stride of every block."""
_EXPANSION = 4


def build(context: BuildContext) -> Any:
    """A convolution, four inverted residual blocks (Sandler et al. 2018), a convolution, one softmax layer."""
    image = keras.Input((96, 96, 3), dtype="uint8", name="image")
    maps = keras.layers.Rescaling(1 / 127.5, -1)(image)
    maps = _convolved(maps, keras.layers.Conv2D(24, 3, strides=2, padding="same", use_bias=False))
    maps = keras.layers.MaxPooling2D(2)(maps)
    for channels, stride in _BLOCKS:
        maps = _block(maps, channels, stride)
    maps = _convolved(maps, keras.layers.Conv2D(128, 1, use_bias=False))
    pooled = keras.layers.GlobalMaxPooling2D()(maps)
    return keras.Model(
        image, keras.layers.Dense(len(context.labels), activation="softmax", name="probabilities")(pooled)
    )


def _block(entrance: Any, channels: int, stride: int) -> Any:
    """Widen, convolve each channel by itself, narrow without activation; add the entrance where it fits."""
    wide = _EXPANSION * entrance.shape[-1]
    maps = _convolved(entrance, keras.layers.Conv2D(wide, 1, use_bias=False))
    maps = _convolved(maps, keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False))
    narrow = _normalized(keras.layers.Conv2D(channels, 1, use_bias=False)(maps))
    return keras.layers.Add()([entrance, narrow]) if entrance.shape == narrow.shape else narrow


def _convolved(maps: Any, convolution: Any) -> Any:
    return keras.layers.ReLU(6.0)(_normalized(convolution(maps)))


def _normalized(maps: Any) -> Any:
    """Keras' momentum of 0.99 is too slow for a few hundred steps: inference would use the averages of the first."""
    return keras.layers.BatchNormalization(momentum=0.9)(maps)


RECIPE = Recipe(
    name="shapes_mobilenet",
    summary="sample: four drawn shapes, four of MobileNetV2's blocks trained from nothing",
    task="image_classification",
    input=ImageInput(height=96, width=96),
    source=SourceSpec(kind="sample", dataset="sample_shapes"),
    build=build,
    learning_rate=3e-3,
    schedule="cosine",
    epochs=4,
    batch_size=32,
    restore_best=False,
    augment=Augment(flip=True),
    licence="Apache-2.0, as this project.",
    limits="A sample: it learned from drawn shapes and knows nothing else.",
)
