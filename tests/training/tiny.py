"""A recipe so small that it trains in a second, for the tests of everything around it."""

from dataclasses import replace
from pathlib import Path

import keras

from serving.card import ImageInput
from training import datasets, fit, fitting
from training.datasets import SourceChoice
from training.progress import Progress
from training.recipe import Augment, BuildContext, Recipe, SourceSpec
from training.run_folder import RunFolder
from training.session import Order
from training.strategies import open_strategy


def build_tiny(context: BuildContext) -> keras.Model:
    """A network that learns in seconds."""
    image = keras.Input((24, 24, 3), dtype="uint8")
    maps = keras.layers.Rescaling(1 / 127.5, -1)(image)
    maps = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(maps)
    pooled = keras.layers.GlobalMaxPooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(len(context.labels), activation="softmax")(pooled))


TINY = Recipe(
    name="tiny",
    summary="for tests",
    task="image_classification",
    input=ImageInput(height=24, width=24),
    source=SourceSpec(kind="directory", dataset="two_shapes"),
    build=build_tiny,
    learning_rate=1e-2,
    epochs=2,
    batch_size=16,
)


def order_of(pictures: Path, cache: Path, models: Path) -> Order:
    """The tiny recipe on a picture folder."""
    choice = SourceChoice(data_dir=pictures)
    return Order(recipe=TINY, choice=choice, models=models, cache=cache, runs=cache.parent / "runs")


def build_lively(context: BuildContext) -> keras.Model:
    """A network with everything that a step can change: kernels, batch normalization, dropout's random state."""
    settings = context.settings
    image = keras.Input((24, 24, 3), dtype="uint8")
    maps = keras.layers.Rescaling(1 / 127.5, -1)(image)
    maps = keras.layers.Conv2D(8, 3, strides=2)(maps)
    if settings["batch_normalization"]:
        maps = keras.layers.BatchNormalization(momentum=0.9)(maps)
    maps = keras.layers.Dropout(settings["dropout"])(keras.layers.ReLU()(maps))
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(len(context.labels), activation="softmax")(pooled))


LIVELY = replace(
    TINY,
    name="lively",
    build=build_lively,
    settings={"dropout": 0.3, "batch_normalization": True},
    schedule="cosine",
    warmup_steps=3,
    label_smoothing=0.1,
    augment=Augment(flip=True, shift=0.1, crop=0.2, color=0.2),
    epochs=4,
)


def learned(order: Order, progress: Progress, folder: RunFolder | None = None) -> tuple[keras.Model, fit.Run]:
    """The order's network, taught and not measured: the part of a session that can be taken up again."""
    source = datasets.open_source(order.recipe.source, order.choice)
    data = datasets.load(
        source, order.recipe.input, network=order.recipe.name, labels=None, cache=order.cache, progress=progress
    )
    return fitting.fitted(order, data, progress, open_strategy(order.recipe.strategy), folder)
