"""Pictures that a tiny network tells apart for certain, and one that gets them wrong for certain.

For the tests of everything that judges: which of two versions is better is no matter of chance here.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from serving.card import ImageInput
from training.datasets import SourceChoice
from training.recipe import BuildContext, Recipe, SourceSpec
from training.session import Order

SIDE = 16


def write(folder: Path) -> Path:
    """Red and blue pictures, grainy, in class folders; a tenth of them could be either."""
    random = np.random.default_rng(0)
    for place, count in {"train": 60, "test": 30}.items():
        for label, channel in (("blue", 2), ("red", 0)):
            (folder / place / label).mkdir(parents=True)
            for number in range(count):
                color = np.full(3, 110.0)
                color[channel] += 0 if number % 10 == 0 else 60
                pixels = random.normal(color, 25, (20, 20, 3)).clip(0, 255).astype(np.uint8)
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG")
                (folder / place / label / f"{number}.png").write_bytes(file.getvalue())
    return folder


def build(context: BuildContext) -> Any:
    """A network that looks at colors alone."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    maps = keras.layers.Conv2D(12, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 64, -2)(image))
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(len(context.labels), activation="softmax")(pooled))


def turned_round(model: Any) -> Any:
    """The network with its answers exchanged."""
    return keras.Model(model.inputs, keras.ops.flip(model.outputs[0], axis=1))


GOOD = Recipe(
    name="colors",
    summary="for tests",
    task="image_classification",
    input=ImageInput(height=SIDE, width=SIDE),
    source=SourceSpec(kind="directory", dataset="colors"),
    build=build,
    learning_rate=3e-2,
    epochs=6,
    batch_size=16,
)
BAD = replace(GOOD, finish=turned_round)


def order(recipe: Recipe, folder: Path, **options: Any) -> Order:
    """Train the recipe on `folder/pictures`; everything else goes into the folder as well."""
    return Order(
        recipe=recipe,
        choice=SourceChoice(data_dir=folder / "pictures"),
        models=folder / "models",
        cache=folder / "cache",
        runs=folder / "runs",
        **options,
    )
