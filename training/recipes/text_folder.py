"""A team's own texts, a folder for each class: `train text_folder --data-dir DIR --name NAME`.

Two classes are told apart by the network of `imdb_reviews`, more by the mean of a learned vector for every word
and pair of words. Texts are files in UTF-8; no vocabulary is kept, so strings of any language may come.
"""

from typing import Any

from serving.card import TextInput
from training import networks, ngram_network
from training.recipe import BuildContext, Recipe, SourceSpec


def build(context: BuildContext) -> Any:
    """The two-sided network for two labels, the many-sided one for more."""
    return ngram_network.build(context) if len(context.labels) == 2 else networks.bag_of_ngrams(context)


def finish(model: Any) -> Any:
    """The two-sided network as one table; the other one is as it is served."""
    return ngram_network.fold(model) if ngram_network.is_factored(model) else model


RECIPE = Recipe(
    name="text_folder",
    summary="your own texts, a folder per class (--data-dir DIR); hashed words and pairs of words",
    task="text_classification",
    input=TextInput(bits=18, orders=2, unique=True),
    source=SourceSpec(kind="directory", dataset="text_folder"),
    build=build,
    finish=finish,
    settings={"smoothing": 1.0, "min_count": 1, "size": 16},
    learning_rate=1e-2,
    schedule="cosine",
    epochs=12,
    batch_size=32,
    restore_best=False,
    licence="As the texts'.",
    limits="Knows the classes of its folders alone and names one of them for any text.",
)
