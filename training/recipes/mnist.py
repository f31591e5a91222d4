"""Handwritten digits, 28x28 and grey: the first data set of every course."""

from serving.card import ImageInput
from training import networks
from training.recipe import Augment, Recipe, SourceSpec

CLASSES = tuple("0123456789")
"""In the order of their numbers in the data set."""

RECIPE = Recipe(
    name="mnist",
    summary="handwritten digits, a small convolutional network",
    task="image_classification",
    input=ImageInput(height=28, width=28, channels=1),
    source=SourceSpec(
        kind="keras",
        dataset="mnist",
        keras_name="mnist",
        tfds_name="mnist",
        tfds_splits=("train[:90%]", "train[90%:]", "test"),
        class_names=CLASSES,
    ),
    labels=tuple(sorted(CLASSES)),
    build=networks.small_cnn,
    settings={"filters": (16, 32, 64), "dropout": 0.3, "batch_normalization": True},
    learning_rate=2e-3,
    schedule="cosine",
    epochs=6,
    batch_size=64,
    restore_best=False,
    augment=Augment(shift=0.1),
    licence="MNIST by LeCun, Cortes and Burges: CC BY-SA 3.0.",
    limits="One digit of light strokes on a dark ground, as MNIST has them; dark ink on paper is the reverse.",
)
