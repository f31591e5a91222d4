"""A team's own pictures, a folder for each class: `train image_folder --data-dir DIR --name NAME`.

With `--backbone-weights` MobileNetV2 and a new head, the better way for some hundred or thousand pictures; without,
the small network of `cats_vs_dogs_small` from nothing. docs/own-data.md walks through it.
"""

from typing import Any

from serving.card import ImageInput
from serving.errors import BadInput
from training import backbones, networks
from training.recipe import Augment, BuildContext, Recipe, SourceSpec, Split


def build(context: BuildContext) -> Any:
    """MobileNetV2 where there are weights for it, otherwise the small network.

    Raises:
        BadInput: MobileNetV2 without its batch normalization, which its weights were learned with.
    """
    if context.backbone_weights == "none":
        return networks.separable(context)
    if not context.settings["batch_normalization"]:
        raise BadInput(
            "MobileNetV2 cannot do without its batch normalization: leave --no-batch-normalization out, "
            "or --backbone-weights"
        )
    return backbones.mobilenet_classifier(context)


def split(model: Any) -> Split | None:
    """A pretrained network's frozen part; the small network learns as a whole."""
    return backbones.split(model) if backbones.of(model) else None


RECIPE = Recipe(
    name="image_folder",
    summary="your own pictures, a folder per class (--data-dir DIR); MobileNetV2 with --backbone-weights",
    task="image_classification",
    input=ImageInput(height=160, width=160),
    source=SourceSpec(kind="directory", dataset="image_folder"),
    build=build,
    split=split,
    settings={"dropout": 0.4, "batch_normalization": True},
    learning_rate=1e-3,
    schedule="cosine",
    epochs=30,
    batch_size=32,
    restore_best=False,  # few pictures choose an epoch by chance; the schedule ends well by itself
    augment=Augment(flip=True),
    licence="As the pictures'; the backbone, where one is used: Apache-2.0 (Google).",
    limits="Knows the classes of its folders alone and names one of them for any picture.",
)
