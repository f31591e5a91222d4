"""How good a model is on examples that it never learned from.

`fit.answers` gives the probabilities, the card carries the result. This room is numpy alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import Quality

_BINS = 15
_SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1, so that one sure mistake does not make the log loss infinite."""


def measure(probabilities: NDArray[Any], labels: NDArray[Any]) -> Quality:
    """Compare answers with the truth.

    Args:
        probabilities: float [N, C].
        labels: int [N], the index of the right label.

    Returns:
        Accuracy, macro-F1 (mean over classes), log loss in nats, expected calibration error over
        15 equally wide bins of the top probability (Guo et al. 2017), confusion [C][C].
    """
    wide = probabilities.astype(np.float64)
    said = wide.argmax(axis=1)
    confusion = _confusion(said, labels, wide.shape[1])
    right = np.clip(wide[np.arange(len(labels)), labels], _SMALLEST, 1 - _SMALLEST)
    return Quality(
        examples=len(labels),
        accuracy=float((said == labels).mean()),
        macro_f1=_macro_f1(confusion),
        log_loss=float(-np.log(right).mean()),
        calibration_error=_calibration_error(wide.max(axis=1), said == labels),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        mean_confidence=float(wide.max(axis=1).mean()),
    )


def _confusion(said: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Row: the truth; column: the answer."""
    return np.bincount(labels.astype(np.int64) * classes + said, minlength=classes**2).reshape(classes, classes)


def _macro_f1(confusion: NDArray[np.int64]) -> float:
    hits = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.where(either > 0, 2 * hits / np.maximum(either, 1), 0.0).mean())


def _calibration_error(confidence: NDArray[Any], right: NDArray[Any]) -> float:
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, confidence, _BINS) - np.bincount(bins, right, _BINS)
    return float(np.abs(gaps).sum() / len(right))
