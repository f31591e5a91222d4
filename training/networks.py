"""Small networks that learn from nothing on two cores: for little pictures, for photos, and for texts of any labels.

The recipes of known data sets and of a team's own folders share them; pretrained networks are in `backbones.py`,
the two-sided text classifier is in `ngram_network.py`.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from serving.card import ImageInput, TextInput
from training.recipe import BuildContext

_MOMENTUM = 0.9
"""Keras' 0.99 is too slow for a few hundred steps: inference would use the averages of the first."""


def small_cnn(context: BuildContext) -> Any:
    """Pairs of convolutions with batch normalization, each pair halving the picture; average pooling, one softmax.

    Settings: `filters` of each pair, `dropout` before the softmax, `batch_normalization`.
    """
    settings, (image, maps) = context.settings, _scaled(context.input)
    for filters in settings.get("filters", (32, 64, 128)):
        for _ in range(2):
            maps = keras.layers.ReLU()(_convolved(maps, filters, settings, size=3))
        maps = keras.layers.MaxPooling2D(2, padding="same")(maps)
    return _classified(image, maps, context)


def separable(context: BuildContext) -> Any:
    """Residual blocks of depthwise-separable convolutions (Chollet 2017; He et al. 2016), for photos.

    A convolution and a pooling bring the picture to a quarter of its side first, so that the blocks are cheap.
    Settings: `stem` (filters of the first convolution), `blocks` (filters and stride of each), `dropout`,
    `batch_normalization`.
    """
    settings, (image, maps) = context.settings, _scaled(context.input)
    maps = keras.layers.ReLU()(_convolved(maps, settings.get("stem", 24), settings, size=3, strides=2))
    maps = keras.layers.MaxPooling2D(2, padding="same")(maps)
    for filters, stride in settings.get("blocks", ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))):
        maps = _block(maps, filters, stride, settings)
    return _classified(image, maps, context)


def bag_of_ngrams(context: BuildContext) -> Any:
    """The mean of a vector for every n-gram, then one softmax (Joulin et al. 2017).

    Settings: `size` of the vectors, `dropout` before the softmax.
    """
    assert isinstance(context.input, TextInput), "this network reads texts"
    settings, padding = context.settings, 1 << context.input.bits
    ids = keras.Input((context.input.length,), dtype="int32", name="ids")
    held = ops.expand_dims(ops.cast(ids < padding, "float32"), -1)
    vectors = keras.layers.Embedding(padding + 1, settings.get("size", 16))(ids)
    mean = ops.sum(vectors * held, axis=1) / ops.maximum(ops.sum(held, axis=1), 1.0)
    return keras.Model(ids, _softmax(mean, context))


def _scaled(spec: Any) -> tuple[Any, Any]:
    """The network's entrance, and its pixels from -1 to 1."""
    assert isinstance(spec, ImageInput), "this network sees pictures"
    image = keras.Input((spec.height, spec.width, spec.channels), dtype="uint8", name="image")
    return image, keras.layers.Rescaling(1 / 127.5, -1)(image)


def _block(entrance: Any, filters: int, stride: int, settings: Mapping[str, Any]) -> Any:
    """Twice each channel by itself and then all channels of each pixel; what came in is added to what comes out."""
    maps = keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(entrance)
    maps = keras.layers.ReLU()(_convolved(maps, filters, settings))
    maps = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(maps)
    maps = _convolved(maps, filters, settings)
    if stride > 1:
        entrance = keras.layers.AveragePooling2D(stride, padding="same")(entrance)
    if entrance.shape[-1] != filters:
        entrance = _convolved(entrance, filters, settings)
    return keras.layers.ReLU()(keras.layers.Add()([entrance, maps]))


def _convolved(maps: Any, filters: int, settings: Mapping[str, Any], size: int = 1, strides: int = 1) -> Any:
    normalized = settings.get("batch_normalization", True)
    maps = keras.layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=not normalized)(maps)
    return keras.layers.BatchNormalization(momentum=_MOMENTUM)(maps) if normalized else maps


def _classified(image: Any, maps: Any, context: BuildContext) -> Any:
    return keras.Model(image, _softmax(keras.layers.GlobalAveragePooling2D()(maps), context))


def _softmax(features: Any, context: BuildContext) -> Any:
    if share := context.settings.get("dropout", 0.0):
        features = keras.layers.Dropout(share, seed=context.seed)(features)
    return keras.layers.Dense(len(context.labels), activation="softmax", name="probabilities")(features)
