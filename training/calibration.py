"""Whether a model is right as often as it is sure, and the one number that mends it.

A temperature is fitted on the validation split and put into the exported graph (`served_model.py`);
`quality.py` measures on the test split what came of it. This room is numpy alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
SMALLEST = 1e-30
"""Probabilities are not taken to be smaller before their logarithm is taken; the exported graph does the same."""
_LIMITS = (0.05, 20.0)
"""Of the temperature."""
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Reliability:
    """Answers sorted into bins by how sure they were; empty bins are left out."""

    confidence: NDArray[np.float64]
    """[B], mean probability of the first place in the bin."""
    accuracy: NDArray[np.float64]
    """[B], share of right answers."""
    count: NDArray[np.int64]
    """[B], answers in the bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: mean gap between the two, weighted by count (Guo et al. 2017, equation 3)."""
        return float((np.abs(self.confidence - self.accuracy) * self.count).sum() / max(self.count.sum(), 1))


def reliability(confidence: NDArray[Any], right: NDArray[Any]) -> Reliability:
    """Sort answers into 15 equally wide bins.

    Args:
        confidence: float [N], probability of the first place.
        right: bool [N].
    """
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(places, minlength=BINS)
    kept = count > 0
    sure, hits = (np.bincount(places, values, BINS)[kept] / count[kept] for values in (confidence, right))
    return Reliability(sure, hits, count[kept])


def error(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """The expected calibration error of answers float [N, C] against the truth int [N]."""
    return reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels).error


def error_floor(probabilities: NDArray[Any], seed: int = 0) -> float:
    """The calibration error that perfectly calibrated answers would show on so few examples.

    Truths are drawn from the answers' own confidences, 400 times; the mean error of these is what
    chance alone gives, since the error is an absolute value and never averages out.
    """
    confidence = probabilities.astype(np.float64).max(axis=1)
    random = np.random.default_rng(seed)
    drawn = (reliability(confidence, random.random(len(confidence)) < confidence).error for _ in range(_DRAWS))
    return float(np.mean(list(drawn)))


def fit_temperature(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """The temperature with the least log loss.

    The loss is convex in 1/T, so its slope is followed to zero by bisection. The truth is taken as
    (N + 1) / (N + 2) sure, the rest spread over the other labels (Platt 1999): N examples without a
    single mistake do not prove that there never is one.

    Args:
        probabilities: float [N, C] on the validation split, of a fitted model.
        labels: int [N].

    Returns:
        T between 0.05 and 20; above 1 the model was too sure of itself.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    logits, count = _logits(probabilities), len(labels)
    wrong = 1 / (count + 2) / (logits.shape[1] - 1)
    truth = np.full(logits.shape, wrong)
    truth[np.arange(count), labels] = (count + 1) / (count + 2)
    wanted = (truth * logits).sum(axis=1).mean()
    low, high = 1 / _LIMITS[1], 1 / _LIMITS[0]
    for _ in range(60):
        middle = (low + high) / 2
        slope = (_softmax(logits * middle) * logits).sum(axis=1).mean() - wanted
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(2 / (low + high))


def scaled(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """softmax(log p / T), as the exported graph computes it; float [N, C]."""
    return _softmax(_logits(probabilities) / temperature)


def _logits(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    quotient: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return quotient
