"""A hundred kinds of things, 32x32 in color, 500 training pictures of each."""

from serving.card import ImageInput
from training import networks
from training.recipe import Augment, Recipe, SourceSpec

_NAMES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
    "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur "
    "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion "
    "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
    "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea "
    "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank "
    "telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)

CLASSES = tuple(_NAMES.split())
"""In the order of their numbers in the data set."""

RECIPE = Recipe(
    name="cifar100",
    summary="a hundred kinds of things in pictures of 32 pixels, a small convolutional network",
    task="image_classification",
    input=ImageInput(height=32, width=32),
    source=SourceSpec(
        kind="tfds",
        dataset="cifar100",
        tfds_name="cifar100",
        tfds_splits=("train[:90%]", "train[90%:]", "test"),
        class_names=CLASSES,
    ),
    labels=tuple(sorted(CLASSES)),
    build=networks.small_cnn,
    settings={"filters": (48, 96, 192), "dropout": 0.4, "batch_normalization": True},
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup_epochs=1.0,
    epochs=30,
    batch_size=64,
    restore_best=False,
    augment=Augment(flip=True, shift=0.125),
    licence="CIFAR by Krizhevsky, Nair and Hinton: free for research, with a citation.",
    limits="A hundred kinds of things at 32 pixels; it names one of them for any picture.",
)
