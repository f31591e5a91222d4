"""Make the models to measure; needs TensorFlow.

    python -m tests.bench.making --out build/bench/models

Their weights are random, since speed does not depend on them: `pictures` and `flowers` are MobileNetV2
at 160 px, `pictures_int8` has an int8 form beside it, `reviews` is a table of 2**24 n-grams; `nothing`
takes the same tensor as `pictures` and computes next to nothing, so that what a server costs around it
can be seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import tensorflow as tf

from serving import repository
from serving.card import Dataset, ImageInput, ModelCard, TextInput
from tests.bench.models import INT8, NAMES, PICTURE, REVIEW, SIDE
from training import quantized, saved_model_writer
from training.ngram_network import NGramTable

LABELS: Mapping[str, tuple[str, ...]] = {
    "pictures": ("cat", "dog"),
    INT8: ("cat", "dog"),
    "flowers": ("daisy", "dandelion", "roses", "sunflowers", "tulips"),
    "reviews": ("neg", "pos"),
    "nothing": ("dark", "bright"),
}


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of models.")
def main(out: Path) -> None:
    """Write those models that the folder does not have yet."""
    keras.utils.set_random_seed(1)
    builders: Mapping[str, Callable[[], Any]] = {
        "pictures": lambda: mobilenet(2),
        INT8: lambda: mobilenet(2),
        "flowers": lambda: mobilenet(5),
        "reviews": table,
        "nothing": lambda: corner,
    }
    for name in sorted(set(NAMES) - set(repository.models(out))):
        publish(out, name, builders[name](), REVIEW if name == "reviews" else PICTURE)
        click.echo(name, err=True)


def publish(out: Path, name: str, model: Any, spec: ImageInput | TextInput) -> None:
    """Write one version with its card, as training does."""
    with repository.staging(out, name) as staging:
        signatures = saved_model_writer.write(model, spec, staging.folder)
        card = ModelCard(
            name=name,
            version=staging.version,
            task="image_classification" if isinstance(spec, ImageInput) else "text_classification",
            labels=LABELS[name],
            input=spec,
            signatures=signatures,
            dataset=Dataset(name="none", source="unknown"),
            allowed_precisions=("f32", "int8") if name == INT8 else ("f32", "bf16"),
            created="2026-01-31T12:00:00Z",
            limits="Random weights, for benchmarks.",
        )
        if name == INT8:
            noise = np.random.default_rng(1).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)
            quantized.write(staging.folder, signatures["default"], [noise])
        saved_model_writer.write_card(staging.folder, card.to_json())
        whole = replace(card, files=repository.checksums(staging.folder))
        path = staging.folder / repository.CARD_FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(whole.to_json())


def mobilenet(labels: int) -> Any:
    """As the recipes have it, without a file of weights."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(image)
    backbone = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(scaled))
    return keras.Model(image, keras.layers.Dense(labels, activation="softmax")(pooled))


def table() -> Any:
    """As imdb_reviews is published."""
    weights = np.random.default_rng(1).standard_normal((1 << REVIEW.bits) + 1, np.float32)
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, NGramTable(weights, 0.0)(ids))


def corner(image: Any, training: bool) -> Any:
    """Two numbers of each picture."""
    return tf.cast(image[:, 0, 0, :2], tf.float32) / 255.0


if __name__ == "__main__":
    main()
