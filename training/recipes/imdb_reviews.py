"""Film reviews, positive or negative: hashed word 1-3-grams, Naive Bayes ratios and one weight for each."""

from serving.card import TextInput
from training import ngram_network
from training.recipe import Recipe, SourceSpec

RECIPE = Recipe(
    name="imdb_reviews",
    summary="film reviews, positive or negative; hashed word 1-3-grams weighted by Naive Bayes",
    task="text_classification",
    input=TextInput(bits=24, orders=3, unique=True),
    source=SourceSpec(
        kind="archive", dataset="imdb", tfds_name="imdb_reviews", tfds_splits=("train[:90%]", "train[90%:]", "test")
    ),
    labels=("neg", "pos"),
    build=ngram_network.build,
    finish=ngram_network.fold,
    optimizer="sgd",
    learning_rate=3.2,
    schedule="cosine",
    epochs=6,
    batch_size=32,
    restore_best=False,
    settings={"smoothing": 2.0, "min_count": 2},
    licence="Trained on the Large Movie Review Dataset v1.0 (Maas et al., ACL 2011), which is free for research.",
    limits="English film reviews. Irony, other languages and other subjects are beyond it.",
)
