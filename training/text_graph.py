"""The preparation of texts in TensorFlow ops, bit for bit what `serving/preprocess/text.py` does in numpy.

`export.py` puts it in front of a text model's numeric part, so that TensorFlow Serving takes strings.
Only ops of plain TensorFlow are used. The algorithm is told in `serving/preprocess/text.py`, whose
tables are used here; tests/training/test_text_graph.py holds both to the same ids.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from serving.card import TextInput
from serving.preprocess import text as rules

_TYPOGRAPHY = (("[\u2018\u2019\u0091\u0092]", "'"), ("[\u0080-\u00a0\u2000-\u206f\u3000]", " "))
_MARKUP = r"<[A-Za-z/!][\x00-;=?-\x7f]*>"
_LOWERED = np.frombuffer(bytes(range(256)).lower(), np.uint8).astype(np.uint64)


def ids(texts: Any, spec: TextInput) -> Any:
    """The ids of several texts, one row each, as `to_batch` gives them.

    A graph cannot refuse one text of a batch: of a text longer than the card allows it reads the first
    spec.max_bytes, and a text with nothing to read is a row of padding. The servers' doors refuse both.

    Args:
        texts: string tensor [N], UTF-8.
        spec: the rules, from the model's card.

    Returns:
        int32 tensor [N, L], padded with 2**spec.bits; L is spec.length, or what the longest text has, at least 1.
    """
    cleaned = _cleaned(tf.strings.substr(texts, 0, spec.max_bytes))
    words, counts = _hashed_tokens(cleaned)
    grams, splits = _n_grams(words, counts, spec.orders)
    mixed = _xor_shifted(grams, 29) * _u64(rules.MIX_2)
    short = tf.cast(tf.bitwise.right_shift(mixed, _u64(64 - spec.bits)), tf.int32)
    if not spec.unique:
        return _padded(short, splits, spec)
    return _distinct(_padded(short, splits, TextInput(bits=spec.bits)), spec)


def _u64(numbers: Any) -> Any:
    return tf.constant(np.asarray(numbers, np.uint64))


def _xor_shifted(numbers: Any, bits: int) -> Any:
    return tf.bitwise.bitwise_xor(numbers, tf.bitwise.right_shift(numbers, _u64(bits)))


def _cleaned(texts: Any) -> Any:
    """Without typography and markup (steps 2 and 3)."""
    for pattern, replacement in _TYPOGRAPHY:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.regex_replace(texts, _MARKUP, " ")


def _hashed_tokens(texts: Any) -> tuple[Any, Any]:
    """uint64 [W]: the hashed tokens of all texts in a row (steps 4 and 5); int32 [N]: how many each text has.

    The texts are laid out as one line of bytes with a space before, after and between. What matters then are the
    borders between neighbors: text i has length + 1 of them, and `place` counts them from 0 within their text.
    """
    line = tf.strings.join([" ", tf.strings.reduce_join(texts, separator=" "), " "])
    data = tf.cast(tf.io.decode_raw(line, tf.uint8), tf.int32)
    borders = tf.strings.length(texts) + 1
    place = _ranges(tf.zeros_like(borders), borders)[1][: tf.size(data) - 1]
    before, after = _kinds_at_borders(tf.gather(tf.constant(np.frombuffer(rules.KINDS, np.uint8)), data))
    change = before != after
    starts = _where((change | (after == rules.SYMBOL)) & (after != rules.SEPARATOR))
    lasts = _where((change | (before == rules.SYMBOL)) & (before != rules.SEPARATOR))
    weighted = tf.gather(_u64(_LOWERED), data[:-1]) * tf.gather(_u64(rules.INVERSES), place)
    sums = tf.cumsum(weighted)
    hashed = tf.gather(sums, lasts) - tf.gather(sums, starts)
    hashed *= tf.gather(_u64(rules.POWERS), tf.gather(place, lasts))
    ends = tf.searchsorted(starts, tf.cast(tf.cumsum(borders), tf.int64))
    return _xor_shifted(hashed, 31) * _u64(rules.MIX_1), ends - tf.concat([[0], ends[:-1]], 0)


def _where(condition: Any) -> Any:
    """int64 [n]: the places of what is true."""
    return tf.where(condition)[:, 0]


def _ranges(starts: Any, limits: Any) -> tuple[Any, Any]:
    """All whole numbers from each start up to its limit in a row, and where each run begins."""
    runs = tf.raw_ops.RaggedRange(starts=starts, limits=limits, deltas=1, Tsplits=tf.int32)
    return runs.rt_nested_splits, runs.rt_dense_values


def _kinds_at_borders(kind: Any) -> tuple[Any, Any]:
    """uint8 [T - 1] each: the kinds before and after every border, apostrophes settled."""
    word = kind == rules.WORD
    inner = kind[1:-1]
    settled = tf.where(inner == rules.APOSTROPHE, tf.cast(word[:-2] & word[2:], tf.uint8), inner)
    separator = tf.zeros([1], tf.uint8)
    return tf.concat([separator, settled], 0), tf.concat([settled, separator], 0)


def _n_grams(words: Any, counts: Any, orders: int) -> tuple[Any, Any]:
    """uint64 [G]: tokens, pairs and triples text after text (step 6); int32 [N + 1]: where each text begins.

    All neighbors are mixed first, also across texts; the ranges then leave those out.
    """
    total = tf.size(words)
    shifted = tf.concat([words, tf.zeros([2], tf.uint64)], 0)
    grams = [words]
    if orders > 1:
        grams.append(words * _u64(rules.MIX_2) + shifted[1:-1])
    if orders > 2:
        grams.append(grams[1] * _u64(rules.MIX_2) + shifted[2:] * _u64(rules.MIX_3))
    begins = tf.cumsum(counts, exclusive=True)
    starts = tf.stack([begins + order * total for order in range(orders)], 1)
    sizes = tf.stack([tf.maximum(counts - order, 0) for order in range(orders)], 1)
    splits, picked = _ranges(tf.reshape(starts, [-1]), tf.reshape(starts + sizes, [-1]))
    return tf.gather(tf.concat(grams, 0), picked), splits[::orders]


def _padded(values: Any, splits: Any, spec: TextInput) -> Any:
    """int32 [N, L] out of rows of different lengths."""
    width = spec.length or tf.maximum(tf.reduce_max(splits[1:] - splits[:-1]), 1)
    return tf.raw_ops.RaggedTensorToTensor(
        shape=tf.stack([-1, width]),
        values=values,
        default_value=1 << spec.bits,
        row_partition_tensors=[splits],
        row_partition_types=["ROW_SPLITS"],
    )


def _distinct(batch: Any, spec: TextInput) -> Any:
    """The ids of each row sorted, each once."""
    batch = tf.sort(batch, axis=1)
    first = tf.ones_like(batch[:, :1], tf.bool)
    new = tf.concat([first, batch[:, 1:] != batch[:, :-1]], 1) & (batch != 1 << spec.bits)
    counts = tf.reduce_sum(tf.cast(new, tf.int32), 1)
    splits = tf.concat([[0], tf.cumsum(counts)], 0)
    return _padded(tf.boolean_mask(batch, new), splits, spec)
