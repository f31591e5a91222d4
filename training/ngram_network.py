"""A two-sided text classifier from n-gram ids: one weight an n-gram, with Naive Bayes for a start.

The recipes `imdb_reviews` and `sample_reviews` are this network over different data. Every n-gram
has a log-count ratio, how much more it weighs in texts of the second label, counted on the training
split alone; what is learned is a factor on it (Wang and Manning, "Baselines and Bigrams", ACL 2012).
An n-gram counts once a text, where it comes last, and twice as much at the very end as at the begin:
reviews end in their verdict. `fold` leaves one table of single bytes, numeric ops only.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from serving.card import TextInput
from serving.errors import BadInput
from training.recipe import BuildContext, Examples, RaggedIds

_LENGTH = 10.0
"""The weights of a text's n-grams are scaled to this length; it only sets how fast learning goes at a given rate."""


def build(context: BuildContext) -> Any:
    """The network that learns; `settings` has `smoothing` and `min_count` of the log-count ratios.

    Raises:
        BadInput: the data has more or fewer than two labels.
    """
    if len(context.labels) != 2:
        raise BadInput(f"this network tells two labels apart, and the data has {len(context.labels)}: use another")
    assert isinstance(context.input, TextInput), "this network reads texts"
    settings = context.settings
    ratios = log_count_ratios(context.train, context.input.bits, settings["smoothing"], settings["min_count"])
    return _model(NGramFactors(ratios, name="factors"))


def is_factored(model: Any) -> bool:
    """Whether this is the network that `build` made."""
    return any(isinstance(layer, NGramFactors) for layer in model.layers)


def fold(model: Any) -> Any:
    """The same network with factors and ratios multiplied out and kept as bytes."""
    layer = model.get_layer("factors")
    return _model(NGramTable(layer.weights_of_ngrams(), float(ops.convert_to_numpy(layer.bias)), name="table"))


def log_count_ratios(train: Examples, bits: int, smoothing: float, min_count: int) -> NDArray[np.float32]:
    """How much more each n-gram weighs in texts of label 1 than in those of label 0, as a logarithm.

    Args:
        train: the training split; every id at most once a text.
        bits: ids are below 2**bits.
        smoothing: added to both sums of weights, which are scaled to a mean of 1.
        min_count: n-grams in fewer texts get 0.

    Returns:
        float32 [2**bits + 1]; the last, padding, is 0.
    """
    assert isinstance(train.inputs, RaggedIds), "ratios are of texts"
    offsets, size = train.inputs.offsets, (1 << bits) + 1
    ids = np.asarray(train.inputs.ids[offsets[0] : offsets[-1]])
    weights = text_weights(np.diff(offsets))
    weights /= weights.mean()
    positive = np.repeat(train.labels == 1, np.diff(offsets))
    known = np.bincount(ids, minlength=size) >= min_count
    first, second = (np.bincount(ids[side], weights[side], size)[known] + smoothing for side in (~positive, positive))
    ratios = np.zeros(size, np.float32)
    ratios[known] = np.log(second / second.sum()) - np.log(first / first.sum())
    ratios[-1] = 0
    return ratios


def text_weights(lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """The weight of every n-gram of texts with so many ids each, in a row; `_weights` in numpy.

    An n-gram at the share p of its text weighs 1 + p**6, and all weights of a text have the same length as
    a vector: both chosen on films that were held out of IMDB's training split.
    """
    begins = np.cumsum(lengths) - lengths
    share = (np.arange(1, lengths.sum() + 1) - np.repeat(begins, lengths)) / np.repeat(lengths, lengths)
    weights = 1 + share**6
    squares = np.add.reduceat(weights**2, begins[lengths > 0])
    return (weights * np.repeat(_LENGTH / np.sqrt(squares), lengths[lengths > 0])).astype(np.float32)


def _model(layer: Any) -> Any:
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, layer(ids))


def _weights(ids: Any, padding: int) -> Any:
    """float32 [N, L]: the weight of every id in its text (see `text_weights`), 0 for padding."""
    held = ops.cast(ids < padding, "float32")
    place = ops.cumsum(held, axis=1)
    share = place / ops.maximum(ops.max(place, axis=1, keepdims=True), 1.0)
    square = share * share
    weights = held * (1.0 + square * square * square)
    return weights * (_LENGTH / ops.sqrt(ops.maximum(ops.sum(weights * weights, axis=1, keepdims=True), 1.0)))


def _two_sided(ids: Any, values: Any, bias: Any, padding: int) -> Any:
    """Probabilities [N, 2] out of the ids [N, L] and the value [N, L] of each."""
    score = ops.sum(values * _weights(ids, padding), axis=1, keepdims=True) + bias
    return ops.softmax(ops.concatenate([-0.5 * score, 0.5 * score], axis=1))


class NGramFactors(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A log-count ratio and a learned factor on it for every n-gram."""

    def __init__(self, ratios: NDArray[np.float32], **options: Any) -> None:
        """Args: ratios: float32 [2**bits + 1], the last is the padding's."""
        super().__init__(**options)
        self.supports_jit = False  # batches differ in length, and each length would be compiled anew
        self._padding = len(ratios) - 1
        self.ratios = self.add_weight(shape=ratios.shape, initializer="zeros", trainable=False, name="ratios")
        self.ratios.assign(ratios)
        self.factors = self.add_weight(shape=ratios.shape, initializer="zeros", name="factors")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def call(self, ids: Any) -> Any:
        """Ids int32 [N, L] -> probabilities float32 [N, 2]."""
        values = ops.take(self.factors, ids, axis=0) * ops.take(self.ratios, ids, axis=0)
        return _two_sided(ids, values, self.bias, self._padding)

    def weights_of_ngrams(self) -> NDArray[np.float32]:
        """float32 [2**bits + 1]: ratio times factor."""
        product: NDArray[np.float32] = ops.convert_to_numpy(self.factors) * ops.convert_to_numpy(self.ratios)
        return product


class NGramTable(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """One weight an n-gram as a signed byte: the root of its size, so that small weights keep their digits."""

    def __init__(self, weights: NDArray[np.float32], bias: float, **options: Any) -> None:
        """Args: weights: float32 [2**bits + 1], the last is the padding's. bias: added to the score."""
        super().__init__(**options)
        self.supports_jit = False
        self._padding = len(weights) - 1
        largest = float(np.abs(weights).max(initial=1e-30))
        roots = np.rint(np.sign(weights) * np.sqrt(np.abs(weights) / largest) * 127).astype(np.int8)
        self._unit, self._bias = largest / 127**2, bias
        self.table = self.add_weight(shape=roots.shape, dtype="int8", initializer="zeros", trainable=False)
        self.table.assign(roots)

    def call(self, ids: Any) -> Any:
        """Ids int32 [N, L] -> probabilities float32 [N, 2]."""
        roots = ops.cast(ops.take(self.table, ids, axis=0), "float32")
        return _two_sided(ids, roots * ops.abs(roots) * self._unit, self._bias, self._padding)
