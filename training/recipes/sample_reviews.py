"""Sample model: generated reviews, positive or negative, by the network of `imdb_reviews` on a small scale."""

from serving.card import TextInput
from training import ngram_network
from training.recipe import Recipe, SourceSpec

RECIPE = Recipe(
    name="sample_reviews",
    summary="sample: generated reviews, positive or negative; hashed word 1-3-grams",
    task="text_classification",
    input=TextInput(bits=16, orders=3, unique=True),
    source=SourceSpec(kind="sample", dataset="sample_reviews"),
    labels=("neg", "pos"),
    build=ngram_network.build,
    finish=ngram_network.fold,
    optimizer="sgd",
    learning_rate=1.6,
    schedule="cosine",
    epochs=4,
    batch_size=32,
    restore_best=False,
    settings={"smoothing": 1.0, "min_count": 2},
    licence="Apache-2.0, as this project.",
    limits="A sample: it learned from generated reviews of a few dozen words and knows nothing else.",
)
