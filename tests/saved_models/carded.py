"""Three classifiers as training publishes them: frozen, with a card as file and as signature.

They answer something a test can foresee: `tiny_image` names the color that a picture has most of,
`tiny_text` weighs a dozen words, and `tiny_watchful` names colors too, but also says how foreign a picture is
and what its test split was like.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from serving import repository
from serving.card import Dataset, ImageInput, ModelCard, Quality, TextInput
from serving.preprocess import text as preparation
from tests.saved_models.settled import settle
from training import text_graph

SIDE = 32
PIXELS = tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8, name="image")
TEXT_RULES = TextInput(bits=10, orders=3, max_bytes=1000)
POSITIVE = ("good", "great", "lovely", "wonderful", "not bad")
NEGATIVE = ("bad", "awful", "dull", "terrible", "not good")


def tiny_image(version: Path) -> None:
    """A 32x32x3 picture to red, green or blue, by the mean of each channel."""
    card = ModelCard(
        name="tiny_image",
        version=1,
        task="image_classification",
        labels=("red", "green", "blue"),
        input=ImageInput(height=SIDE, width=SIDE),
        signatures={"default": "serving_default", "encoded": "encoded", "card": "card"},
        **_COMMON,
    )

    @tf.function(input_signature=[PIXELS])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:
        means = tf.reduce_mean(tf.cast(image, tf.float32) / 255.0, [1, 2])
        return {"probabilities": tf.nn.softmax(tf.matmul(means, tf.constant(10.0 * np.eye(3, dtype=np.float32))))}

    def prepare(data: Any) -> Any:
        picture = tf.io.decode_image(data, 3, expand_animations=False)
        return tf.cast(tf.round(tf.image.resize(picture, (SIDE, SIDE), antialias=True)), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])  # type: ignore[untyped-decorator]
    def encoded(image_bytes: Any) -> Any:
        one = tf.TensorSpec((SIDE, SIDE, 3), tf.uint8)
        return serve(tf.map_fn(prepare, image_bytes, fn_output_signature=one))

    _save(version, card, {"serving_default": serve, "encoded": encoded})


def tiny_watchful(version: Path) -> None:
    """A 32x32x3 picture to red, green or blue; the anomaly is the share that the other two colors have."""
    card = ModelCard(
        name="tiny_watchful",
        version=1,
        task="image_classification",
        labels=("red", "green", "blue"),
        input=ImageInput(height=SIDE, width=SIDE),
        signatures={"default": "serving_default", "card": "card"},
        quality=Quality(
            examples=90,
            accuracy=1.0,
            macro_f1=1.0,
            log_loss=0.1,
            calibration_error=0.01,
            confusion=((30, 0, 0), (0, 30, 0), (0, 0, 30)),
            mean_confidence=0.95,
        ),
        anomaly_threshold=0.6,
        **_COMMON,
    )

    @tf.function(input_signature=[PIXELS])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:
        means = tf.reduce_mean(tf.cast(image, tf.float32) / 255.0, [1, 2])
        shares = means / (tf.reduce_sum(means, 1, keepdims=True) + 1e-6)
        return {"probabilities": tf.nn.softmax(10.0 * means), "anomaly": 1.0 - tf.reduce_max(shares, 1)}

    _save(version, card, {"serving_default": serve})


def tiny_text(version: Path) -> None:
    """A review to neg or pos, by hashed words, pairs and triples with a weight each."""
    card = ModelCard(
        name="tiny_text",
        version=1,
        task="text_classification",
        labels=("neg", "pos"),
        input=TEXT_RULES,
        signatures={"default": "serving_default", "prepared": "prepared", "card": "card"},
        **_COMMON,
    )
    table = tf.constant(_word_weights())

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="ids")])  # type: ignore[untyped-decorator]
    def prepared(ids: Any) -> Any:
        positive = tf.sigmoid(tf.reduce_sum(tf.gather(table, ids), 1))
        return {"probabilities": tf.stack([1.0 - positive, positive], 1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])  # type: ignore[untyped-decorator]
    def serve(text: Any) -> Any:
        return prepared(text_graph.ids(text, TEXT_RULES))

    with _short_tables():
        _save(version, card, {"serving_default": serve, "prepared": prepared})


@contextlib.contextmanager
def _short_tables() -> Iterator[None]:
    """Keep only as much of the hash's tables as max_bytes can reach: 16 KB in the graph instead of 1 MB."""
    reach = TEXT_RULES.max_bytes + 2
    with (
        mock.patch.object(preparation, "POWERS", preparation.POWERS[:reach]),
        mock.patch.object(preparation, "INVERSES", preparation.INVERSES[:reach]),
    ):
        yield


def _word_weights() -> Any:
    """float32 [2**bits + 1]; the last is the padding's and zero."""
    weights = np.zeros(2**TEXT_RULES.bits + 1, np.float32)
    for words, sign in ((POSITIVE, 1.5), (NEGATIVE, -1.5)):
        for word in words:
            weights[preparation.to_ids(word, TEXT_RULES)[-1]] += sign * len(word.split()) ** 2
    return weights


_COMMON: Mapping[str, Any] = {
    "dataset": Dataset(name="none", source="sample"),
    "allowed_precisions": ("f32", "bf16"),
    "created": "2026-01-31T12:00:00Z",
    "licence": "Apache-2.0",
    "limits": "Made for tests.",
}


def _save(version: Path, card: ModelCard, signatures: Mapping[str, Any]) -> None:
    document = card.to_json()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="request")])  # type: ignore[untyped-decorator]
    def describe(request: Any) -> Any:
        return {"card": tf.fill(tf.shape(request), tf.constant(document))}

    tf.saved_model.save(tf.Module(), str(version), signatures={**signatures, "card": describe})
    settle(version)
    with_files = dataclasses.replace(card, files=repository.checksums(version))
    file = version / repository.CARD_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(with_files.to_json() + "\n")


BUILDERS: Mapping[str, Callable[[Path], None]] = {
    kind.__name__: kind for kind in (tiny_image, tiny_text, tiny_watchful)
}
