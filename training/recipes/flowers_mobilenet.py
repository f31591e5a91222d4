"""Five kinds of flowers by transfer: MobileNetV2 frozen, a softmax layer on its features; then both learn, slowly."""

from serving.card import ImageInput
from training import backbones
from training.recipe import Augment, FineTune, Recipe, SourceSpec

RECIPE = Recipe(
    name="flowers_mobilenet",
    summary="five kinds of flowers, MobileNetV2 pretrained on ImageNet with a new head",
    task="image_classification",
    input=ImageInput(height=224, width=224),
    source=SourceSpec(kind="tfds", dataset="flowers", tfds_name="tf_flowers"),
    labels=("daisy", "dandelion", "roses", "sunflowers", "tulips"),
    build=backbones.mobilenet_classifier,
    split=backbones.split,
    backbone_weights="imagenet",
    settings={"dropout": 0.5},
    learning_rate=1e-3,
    schedule="cosine",
    epochs=40,
    batch_size=32,
    restore_best=False,  # a few hundred validation photos choose an epoch by chance; the schedule ends well by itself
    augment=Augment(flip=True),
    fine_tune=FineTune(layers=29, learning_rate=1e-5, epochs=3),  # the last three blocks and the convolution after them
    licence="Backbone: Apache-2.0 (Google). Photos: CC BY 2.0 by their photographers.",
    limits="Knows these five kinds alone and names one of them for any picture.",
)
