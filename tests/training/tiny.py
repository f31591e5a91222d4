"""A recipe so small that it trains in a second, for the tests of everything around it."""

from pathlib import Path

import keras

from serving.card import ImageInput
from training.datasets import SourceChoice
from training.recipe import BuildContext, Recipe, SourceSpec
from training.session import Order


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
