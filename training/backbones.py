"""Pretrained backbones: where their weights come from, and how a classifier stands on one.

The MobileNet recipes build their network here. While the backbone is frozen its pooled features
are all that the head ever sees, so `split` cuts the network there for `fit.py`.
"""

import warnings
from pathlib import Path
from typing import Any

import keras

from serving.card import ImageInput
from serving.errors import BadInput, Unavailable
from training.recipe import BuildContext, Split

_FEATURES = "features"


def mobilenet_classifier(context: BuildContext) -> Any:
    """MobileNetV2, global average pooling, dropout, one softmax layer.

    Settings: `alpha` (width of the backbone) and `dropout`. With weights the backbone is frozen,
    its batch normalization in inference mode; with `none` all of it learns.
    """
    spec, settings = context.input, context.settings
    assert isinstance(spec, ImageInput), "a MobileNet sees pictures"
    pretrained = context.backbone_weights != "none"
    backbone = load_mobilenet(spec, settings.get("alpha", 1.0), context.backbone_weights)
    backbone.trainable = not pretrained
    image = keras.Input((spec.height, spec.width, spec.channels), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(image)
    maps = backbone(scaled, training=False) if pretrained else backbone(scaled)
    pooled = keras.layers.GlobalAveragePooling2D(name=_FEATURES)(maps)
    dropped = keras.layers.Dropout(settings.get("dropout", 0.2), seed=context.seed)(pooled)
    return keras.Model(
        image, keras.layers.Dense(len(context.labels), activation="softmax", name="probabilities")(dropped)
    )


def split(model: Any) -> Split | None:
    """The classifier cut at its pooled features; None if its backbone learns from the first step."""
    backbone = of(model)
    if backbone.trainable:
        return None
    features = model.get_layer(_FEATURES).output
    entrance = keras.Input(features.shape[1:])
    exit_ = entrance
    for layer in model.layers[model.layers.index(model.get_layer(_FEATURES)) + 1 :]:
        exit_ = layer(exit_)
    return Split(frozen=keras.Model(model.input, features), head=keras.Model(entrance, exit_), backbone=backbone)


def of(model: Any) -> Any:
    """The backbone that stands in a classifier, or None."""
    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)


def load_mobilenet(spec: ImageInput, alpha: float, weights: str) -> Any:
    """MobileNetV2 without its top.

    Args:
        spec: its input.
        alpha: width; 1.0 where the weights are a file of the usual kind.
        weights: `imagenet` (downloaded by Keras), `none`, or the path of a Keras weights file made without top.

    Raises:
        BadInput: the file is not there or does not fit.
        Unavailable: the download failed.
    """
    shape = (spec.height, spec.width, spec.channels)
    if weights == "imagenet":
        return _downloaded(shape, alpha)
    backbone = keras.applications.MobileNetV2(shape, alpha=alpha, include_top=False, weights=None)
    if weights != "none":
        _read_weights(backbone, Path(weights))
    return backbone


def _downloaded(shape: tuple[int, int, int], alpha: float) -> Any:
    try:
        return keras.applications.MobileNetV2(shape, alpha=alpha, include_top=False, weights="imagenet")
    except Exception as error:  # whatever a download can meet
        raise Unavailable(
            f"the ImageNet weights cannot be downloaded ({_first_line(error)}): "
            "give --backbone-weights the path of a weights file, or none"
        ) from error


def _read_weights(backbone: Any, path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"{path} is no file: --backbone-weights is imagenet, none, or the path of a weights file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of layers that keep their random weights
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise BadInput(
            f"{path} does not hold the weights of MobileNetV2 without its top: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
