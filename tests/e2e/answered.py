"""Answers of models trained on real photos and reviews: what Keras says of every test example."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import datasets, fit, recipes, session
from training.datasets import SourceChoice
from training.progress import Progress

PHOTOS, REVIEWS = "cats_vs_dogs_mobilenet", "imdb_reviews"


@dataclass(frozen=True)
class Answered:
    """A test split as people would send it, and what the Keras model says of it."""

    items: list[bytes]
    """Whole picture files, or texts."""
    truth: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    """[N, labels], by Keras, on what training prepared."""
    labels: tuple[str, ...]


def trained(name: str, choice: SourceChoice, weights: str, epochs: int, folder: Path) -> Answered:
    """Train and publish one recipe, briefly, and ask the Keras model about its whole test split."""
    recipe = replace(recipes.find(name), epochs=epochs, fine_tune=None)
    quiet = Progress(visible=False)
    order = session.Order(
        recipe=recipe,
        choice=choice,
        seed=1,
        backbone_weights=weights,
        models=folder / "models",
        cache=folder / "cache",
        runs=folder / "runs",
    )
    model: Any = session.train(order, quiet).model
    source = datasets.open_source(recipe.source, choice)
    data = datasets.load(
        source, recipe.input, network=name, labels=recipe.labels, cache=folder / "cache", progress=quiet
    )
    raw = {example.name: example for example in source.read().test}
    return Answered(
        items=[raw[example].read() for example in data.test.names],
        truth=data.test.labels,
        probabilities=fit.answers(model, data.test, recipe.input, quiet),
        labels=data.labels,
    )


def photos(data: Path, folder: Path) -> Answered:
    """Cats and dogs, from the folder of real data."""
    choice = SourceChoice(kind="directory", data_dir=data / "cats_vs_dogs")
    return trained(PHOTOS, choice, str(data / "backbones" / "mobilenet_v2_1.0_imagenet_no_top.weights.h5"), 3, folder)


def reviews(data: Path, folder: Path) -> Answered:
    """Film reviews, from the folder of real data."""
    return trained(REVIEWS, SourceChoice(kind="archive", data_dir=data / "imdb"), "none", 1, folder)
