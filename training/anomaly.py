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
_LEAST_VARIANCE = 1e-4
"""Summed over all other directions, of features at length 1. Examples that are all alike have none, and their score
would show nothing but how a runtime rounds: about 1e-6 of a feature."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What the score needs; all arrays float32.

    With u the features at length 1, V the directions, z = u V what lies along them and r = u - z V' the rest,

        distance(u, c) = sum_k weights_k (z_k - z_ck) ** 2 + |r - r_c| ** 2        for the center c of a class
        score(u)       = sqrt(scale min over c of distance(u, c))

    so that an ordinary example scores about 1. The rest is computed as a vector, not as a difference of
    squares: so it holds in 16 bits as well.
    """

    directions: NDArray[np.float32]
    """[F, K], orthonormal, those in which examples of one class vary most."""
    weights: NDArray[np.float32]
    """[K], mean variance along all other directions by the variance along this one; between 0 and 1."""
    centers_along: NDArray[np.float32]
    """[C, K], z of the mean of each class."""
    centers_rest: NDArray[np.float32]
    """[C, F], r of the mean of each class."""
    scale: float
    """1 / (F times the mean variance along all other directions)."""

    def score(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """The scores, float32 [N], of features [N, F]."""
        rows = unit(features)
        along = rows @ self.directions
        rest = rows - along @ self.directions.T
        nearest = np.full(len(rows), np.inf, np.float32)
        for center_along, center_rest in zip(self.centers_along, self.centers_rest, strict=True):
            gaps = ((along - center_along) ** 2 * self.weights).sum(axis=1)
            nearest = np.minimum(nearest, gaps + ((rest - center_rest) ** 2).sum(axis=1))
        scores: NDArray[np.float32] = np.sqrt(nearest * np.float32(self.scale))
        return scores


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
    chosen, other = directions[:, :kept], max(float(variances[kept:].mean()), _LEAST_VARIANCE / size)
    along = centers @ chosen
    return Detector(
        directions=chosen.astype(np.float32),
        weights=(other / np.maximum(variances[:kept], other)).astype(np.float32),
        centers_along=along.astype(np.float32),
        centers_rest=(centers - along @ chosen.T).astype(np.float32),
        scale=1 / (size * other),
    )


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
