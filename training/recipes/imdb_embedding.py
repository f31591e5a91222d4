"""The classic baseline for film reviews: 10,000 words, 256 of them a review, averaged embeddings."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from serving.card import TextInput
from training.recipe import BuildContext, Examples, RaggedIds, Recipe, SourceSpec

WORDS = 10_000
"""Slots of the embedding: padding, one for all rare words, and the most frequent words."""
PADDING, RARE = 0, 1
_LENGTH = 256


class WordSlots(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The slot, 0 to 9,999, of every hashed word."""

    def __init__(self, slots: NDArray[np.int32], **options: Any) -> None:
        """Args: slots: int32 [2**bits + 1], the last is the padding's."""
        super().__init__(**options)
        self.slots = self.add_weight(
            shape=slots.shape, dtype="int32", initializer="zeros", trainable=False, autocast=False
        )
        self.slots.assign(slots)

    def call(self, ids: Any) -> Any:
        """Ids int32 [N, L] -> slots int32 [N, L]."""
        return ops.take(self.slots, ids, axis=0)


def word_slots(train: Examples, bits: int) -> NDArray[np.int32]:
    """Give the most frequent words of the training split a slot each, the most frequent one the lowest.

    Args:
        train: the training split, as single words.
        bits: ids are below 2**bits.

    Returns:
        int32 [2**bits + 1]; RARE for all others, PADDING for the last.
    """
    assert isinstance(train.inputs, RaggedIds), "only texts have words"
    offsets = train.inputs.offsets
    counts = np.bincount(train.inputs.ids[offsets[0] : offsets[-1]], minlength=1 << bits)
    frequent = np.argsort(-counts, kind="stable")[: WORDS - 2]
    frequent = frequent[counts[frequent] > 0]
    slots = np.full((1 << bits) + 1, RARE, np.int32)
    slots[frequent] = np.arange(2, 2 + len(frequent))
    slots[-1] = PADDING
    return slots


def build(context: BuildContext) -> Any:
    """Embedding 16, average over all 256 places, Dense 16 ReLU, Dense 1 sigmoid, given as two columns."""
    assert isinstance(context.input, TextInput), "this network reads texts"
    ids = keras.Input((_LENGTH,), dtype="int32", name="ids")
    words = WordSlots(word_slots(context.train, context.input.bits), name="slots")(ids)
    vectors = keras.layers.Embedding(WORDS, 16)(words)
    hidden = keras.layers.Dense(16, activation="relu")(keras.layers.GlobalAveragePooling1D()(vectors))
    positive = keras.layers.Dense(1, activation="sigmoid")(hidden)
    return keras.Model(ids, keras.layers.Concatenate(name="probabilities")([1.0 - positive, positive]))


RECIPE = Recipe(
    name="imdb_embedding",
    summary="film reviews, positive or negative; the classic averaged word embeddings",
    task="text_classification",
    input=TextInput(bits=20, length=_LENGTH),
    source=SourceSpec(
        kind="archive", dataset="imdb", tfds_name="imdb_reviews", tfds_splits=("train[:90%]", "train[90%:]", "test")
    ),
    labels=("neg", "pos"),
    build=build,
    epochs=12,
    batch_size=64,
    learning_rate=2e-3,
    patience=3,
    licence="Trained on the Large Movie Review Dataset v1.0 (Maas et al., ACL 2011), which is free for research.",
    limits="English film reviews, of which it reads the first 256 words. The baseline: imdb_reviews is better.",
)
