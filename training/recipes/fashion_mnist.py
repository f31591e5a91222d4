"""Ten kinds of clothes, 28x28 and grey: MNIST's form, and harder."""

from serving.card import ImageInput
from training import networks
from training.recipe import Augment, Recipe, SourceSpec

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
"""In the order of their numbers in the data set."""

RECIPE = Recipe(
    name="fashion_mnist",
    summary="ten kinds of clothes, a small convolutional network",
    task="image_classification",
    input=ImageInput(height=28, width=28, channels=1),
    source=SourceSpec(
        kind="keras",
        dataset="fashion_mnist",
        keras_name="fashion_mnist",
        tfds_name="fashion_mnist",
        tfds_splits=("train[:90%]", "train[90%:]", "test"),
        class_names=CLASSES,
    ),
    labels=tuple(sorted(CLASSES)),
    build=networks.small_cnn,
    settings={"filters": (16, 32, 64), "dropout": 0.3, "batch_normalization": True},
    learning_rate=2e-3,
    schedule="cosine",
    epochs=12,
    batch_size=64,
    restore_best=False,
    augment=Augment(flip=True, shift=0.1),
    licence="Fashion-MNIST by Zalando Research: MIT.",
    limits="One piece of clothing, light on a dark ground, as a shop shows it; photos of people are beyond it.",
)
