"""Whether an example is of a kind that the network was never shown.

The score is a Mahalanobis distance in the space of the network's last features, shrunk so that a few
hundred examples are enough. `served_model.py` computes it in the exported graph, `assessment.py` fits
it and measures it. Formulas and sources: docs/quality.md. This room is numpy alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM = 0.01
"""Share of ordinary examples that may be flagged."""
SMALLEST = 1e-6
"""Features shorter than this are not brought to length 1."""
_DIRECTIONS = 64


@dataclass(frozen=True, slots=True)
class Detector:
    """What the score needs; all arrays float32.

    With u the features at length 1, m a center and V the directions,

        distance(u, m) = sum_k excess_k ((u - m) V)_k ** 2 + rest |u - m| ** 2
        score(u)       = sqrt(min over centers of distance / F)

    so that an ordinary example scores about 1.
    """

    centers: NDArray[np.float32]
    """[C, F], the mean of each class."""
    directions: NDArray[np.float32]
    """[F, K], orthonormal, those in which examples of one class vary most."""
    excess: NDArray[np.float32]
    """[K], 1 / variance along the direction, less `rest`; mostly negative."""
    rest: float
    """1 / mean variance along all other directions."""

    def score(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """The scores, float32 [N], of features [N, F]."""
        gaps = unit(features)[:, None, :] - self.centers[None]
        along = gaps @ self.directions
        distances = (along**2 * self.excess).sum(axis=2) + self.rest * (gaps**2).sum(axis=2)
        scores: NDArray[np.float32] = np.sqrt(np.maximum(distances.min(axis=1), 0) / features.shape[1])
        return scores.astype(np.float32)


def unit(features: NDArray[Any]) -> NDArray[np.float32]:
    """Each row at length 1: what the features say, apart from how loudly.

    Blank and noisy pictures raise few features and lie near the middle of all classes; only their
    direction tells them apart.
    """
    wide = features.astype(np.float32)
    rows: NDArray[np.float32] = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), SMALLEST)
    return rows


def fit(features: NDArray[Any], labels: NDArray[Any]) -> Detector:
    """Learn what ordinary examples look like.

    The covariance within classes keeps its 64 largest directions (fewer where there are few examples);
    all others share their mean variance, the maximum-likelihood form of such a model.

    Args:
        features: float [N, F], of the training split.
        labels: int [N].

    Source: Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples", NeurIPS 2018;
        Tipping and Bishop, "Probabilistic Principal Component Analysis", 1999.
    """
    rows, kinds = unit(features), np.unique(labels)
    centers = np.stack([rows[labels == kind].mean(axis=0) for kind in kinds])
    gaps = (rows - centers[np.searchsorted(kinds, labels)]).astype(np.float64)
    count, size = gaps.shape
    variances, directions = np.linalg.eigh(gaps.T @ gaps / max(count - len(kinds), 1))
    kept = min(_DIRECTIONS, size // 2, count // 10)
    variances, directions = np.maximum(variances[::-1], 1e-12), directions[:, ::-1]
    rest = 1 / float(variances[kept:].mean())
    excess = 1 / variances[:kept] - rest
    return Detector(centers, directions[:, :kept].astype(np.float32), excess.astype(np.float32), rest)


def threshold(scores: NDArray[Any]) -> float:
    """The score above which an ordinary example comes in at most one case of a hundred.

    Split conformal: of N validation scores the one at place (N + 1) 0.99, rounded up, or the largest
    where there are fewer than 99. If future examples are of the same kind, the expected share of false
    alarms is at most 1 %, or 1 / (N + 1) where that is more.

    Source: Laxhammar and Falkman, "Conformal Prediction for Distribution-Independent Anomaly Detection", 2010.
    """
    place = math.ceil((len(scores) + 1) * (1 - FALSE_ALARM))
    return float(np.sort(scores)[min(place, len(scores)) - 1])


def auroc(ordinary: NDArray[Any], foreign: NDArray[Any]) -> float:
    """The probability that a foreign example scores higher than an ordinary one; ties count half."""
    both = np.sort(ordinary)
    below, upto = (np.searchsorted(both, foreign, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(ordinary))
