"""What every peer does with a photo, the same for all: Pillow, then the SavedModel in TensorFlow.

Imported in a peer's own environment, so nothing of this project is needed here.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

SIDE = 160
BATCH = 8
"""Most photos that go into one call of the model."""
WAIT_S = 0.01
"""Longest wait for them."""


def pixels(photo: bytes) -> Any:
    """A photo as the model takes it, uint8 [SIDE, SIDE, 3]."""
    return np.asarray(Image.open(io.BytesIO(photo)).convert("RGB").resize((SIDE, SIDE)))


def loaded(folder: str) -> Callable[[Sequence[Any]], list[dict[str, Any]]]:
    """The model: many pictures in, a label and its probability for each out."""
    model = tf.saved_model.load(folder)
    serve = model.signatures["serving_default"]

    def classify(pictures: Sequence[Any]) -> list[dict[str, Any]]:
        rows = serve(image=tf.constant(np.stack(pictures)))["probabilities"].numpy()
        return [{"label": int(row.argmax()), "probability": float(row.max())} for row in rows]

    classify.model = model  # type: ignore[attr-defined]  # its functions hold it weakly
    return classify
