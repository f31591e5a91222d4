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
    found, splits = _n_grams(words, counts, spec)
    if spec.unique:
        found, splits = _last_of_each(found, splits)
    width = spec.length or tf.maximum(tf.reduce_max(splits[1:] - splits[:-1]), 1)
    return tf.raw_ops.RaggedTensorToTensor(
        shape=tf.stack([-1, width]),
        values=found,
        default_value=1 << spec.bits,
        row_partition_tensors=[splits],
        row_partition_types=["ROW_SPLITS"],
    )


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


def _n_grams(words: Any, counts: Any, spec: TextInput) -> tuple[Any, Any]:
    """int32 [n]: the ids of all texts in a row (steps 6 to 8); int32 [N + 1]: where each text begins.

    All neighbors are mixed first, also across texts; then those that reach into the text before are left out.
    """
    total = tf.size(words)
    padded = tf.concat([tf.zeros([2], tf.uint64), words], 0)
    first, second = padded[:total], padded[1 : total + 1]
    grams = [words]
    if spec.orders > 1:
        grams.append(second * _u64(rules.MIX_2) + words)
    if spec.orders > 2:
        grams.append((first * _u64(rules.MIX_2) + second) * _u64(rules.MIX_2) + words * _u64(rules.MIX_3))
    mixed = tf.stack(grams, 1)
    mixed = _xor_shifted(mixed, 29) * _u64(rules.MIX_2)
    ids = tf.cast(tf.bitwise.right_shift(mixed, _u64(64 - spec.bits)), tf.int32)
    before = _ranges(tf.zeros_like(counts), counts)[1]
    within = before[:, None] >= tf.range(spec.orders)
    sizes = sum(tf.maximum(counts - order, 0) for order in range(spec.orders))
    return tf.boolean_mask(ids, within), tf.concat([[0], tf.cumsum(sizes)], 0)


def _last_of_each(ids: Any, splits: Any) -> tuple[Any, Any]:
    """Every text's ids without those that come again in it, and where the texts begin now."""
    keys = tf.bitwise.left_shift(tf.cast(ids, tf.int64), tf.constant(32, tf.int64))
    keys = tf.sort(keys + tf.range(tf.size(ids, tf.int64)))
    places = tf.cast(tf.bitwise.bitwise_and(keys, tf.constant(0xFFFFFFFF, tf.int64)), tf.int32)
    texts = tf.gather(tf.searchsorted(splits[1:], tf.range(tf.size(ids)), side="right"), places)
    same_id = tf.bitwise.bitwise_xor(keys[1:], keys[:-1]) < 1 << 32
    again = tf.boolean_mask(places[:-1], same_id & (texts[1:] == texts[:-1]))
    last = tf.tensor_scatter_nd_update(tf.ones_like(ids), again[:, None], tf.zeros_like(again))
    counted = tf.concat([[0], tf.cumsum(last)], 0)
    return tf.boolean_mask(ids, last == 1), tf.gather(counted, splits)
