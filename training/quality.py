"""How good a model is on examples that it never learned from.

`fit.answers` gives the probabilities, the card carries the result; `calibration.py` and
`anomaly.py` measure how far the answers can be trusted. Formulas and sources: docs/quality.md.
This room is numpy alone.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import Quality
from training import calibration

_SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1, so that one sure mistake does not make the log loss infinite."""
_SIGMAS = 1.959964
"""Of a 95 % interval."""


def measure(probabilities: NDArray[Any], labels: NDArray[Any]) -> Quality:
    """Compare answers with the truth.

    Args:
        probabilities: float [N, C].
        labels: int [N], the index of the right label.

    Returns:
        Accuracy with its 95 % interval, macro-F1 (mean over classes), recall of every class, log loss in nats,
        expected calibration error and what chance alone makes of it, confusion [C][C].
    """
    wide = probabilities.astype(np.float64)
    said, total = wide.argmax(axis=1), len(labels)
    confusion = _confusion(said, labels, wide.shape[1])
    low, high = wilson(int((said == labels).sum()), total)
    right = np.clip(wide[np.arange(total), labels], _SMALLEST, 1 - _SMALLEST)
    return Quality(
        examples=total,
        accuracy=float((said == labels).mean()),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=_macro_f1(confusion),
        recall=_recall(confusion),
        log_loss=float(-np.log(right).mean()),
        calibration_error=calibration.error(wide, labels),
        calibration_floor=calibration.error_floor(wide),
        mean_confidence=float(wide.max(axis=1).mean()),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which holds for few examples and near 0 and 1 as well."""
    share, squared = right / total, _SIGMAS**2 / total
    middle = share + squared / 2
    half = _SIGMAS * math.sqrt(share * (1 - share) / total + squared / (4 * total))
    return max(0.0, (middle - half) / (1 + squared)), min(1.0, (middle + half) / (1 + squared))


def _confusion(said: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Row: the truth; column: the answer."""
    return np.bincount(labels.astype(np.int64) * classes + said, minlength=classes**2).reshape(classes, classes)


def _macro_f1(confusion: NDArray[np.int64]) -> float:
    hits = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.where(either > 0, 2 * hits / np.maximum(either, 1), 0.0).mean())


def _recall(confusion: NDArray[np.int64]) -> tuple[float, ...]:
    """0 for a label without examples."""
    return tuple(float(value) for value in np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1))
