"""Ten kinds of animals and vehicles, 32x32 in color."""

from serving.card import ImageInput
from training import networks
from training.recipe import Augment, Recipe, SourceSpec

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""In the order of their numbers in the data set."""

RECIPE = Recipe(
    name="cifar10",
    summary="ten kinds of things in pictures of 32 pixels, a small convolutional network",
    task="image_classification",
    input=ImageInput(height=32, width=32),
    source=SourceSpec(
        kind="tfds",
        dataset="cifar10",
        tfds_name="cifar10",
        tfds_splits=("train[:90%]", "train[90%:]", "test"),
        class_names=CLASSES,
    ),
    labels=tuple(sorted(CLASSES)),
    build=networks.small_cnn,
    settings={"filters": (32, 64, 128), "dropout": 0.3, "batch_normalization": True},
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup_epochs=1.0,
    epochs=20,
    batch_size=64,
    restore_best=False,
    augment=Augment(flip=True, shift=0.125),
    licence="CIFAR by Krizhevsky, Nair and Hinton: free for research, with a citation.",
    limits="Ten kinds of things at 32 pixels; it names one of them for any picture.",
)
