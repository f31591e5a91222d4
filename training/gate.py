"""Whether a version may take the place of the one that serves now.

Both were asked the same examples by `comparison.py`; here is decided, and said in a table, what
counts as worse. `export.py` asks before it publishes. The margins are explained in docs/quality.md.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ModelCard
from training.comparison import Comparison

CALIBRATION_MARGIN = 0.02
"""By so much the calibration error may rise; chance moves it by as much on a few hundred examples."""
RECALL_MARGIN = 0.05
"""By so much any class's recall may fall, and further if chance explains it."""
LATENCY_MARGIN = 0.20
"""By such a share the CPU time of one example may rise."""
_SIGMAS = 1.96


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of both versions."""

    measure: str
    before: str
    after: str
    allowed: str
    """What would still have been let through."""
    passed: bool
    refusal: str = ""
    """A sentence where it did not pass."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about a candidate."""

    serving: int | None
    """The version that it was compared with; None: with none."""
    rows: tuple[Row, ...] = ()
    remark: str = ""
    """Why it was not compared."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """A sentence for everything that is worse; empty where the candidate may be published."""
        return tuple(row.refusal for row in self.rows if not row.passed)

    def for_card(self, *, forced: bool) -> dict[str, Any]:
        """What the card says of it."""
        return {"compared_with": self.serving, "refusals": list(self.refusals), "forced": forced} | (
            {"remark": self.remark} if self.remark else {}
        )


def incomparable(serving: ModelCard, candidate: ModelCard) -> str:
    """Why two versions cannot be compared on one test split; empty if they can."""
    if serving.task != candidate.task:
        return f"version {serving.version} has another task, {serving.task}"
    if not candidate.labels:
        return "it answers a number, and only labels are compared"
    if set(serving.labels) != set(candidate.labels):
        return f"version {serving.version} has other labels"
    ours, theirs = candidate.dataset, serving.dataset
    if not ours.test or (ours.sha256, ours.test) != (theirs.sha256, theirs.test):
        return f"version {serving.version} comes from other data, so it may have learned what is now the test split"
    return ""


def judge(found: Comparison, serving: int) -> Verdict:
    """Hold the second version against the first, which serves."""
    rows = (_accuracy(found), _calibration(found), *_recalls(found), _latency(found))
    return Verdict(serving, rows)


def paired_interval(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float]:
    """The 95 % interval of the change in accuracy, from which of the same examples were answered right.

    Only examples on which the versions disagree count (McNemar 1947), so that it is much narrower
    than two separate intervals: with b gained and c lost of n, (b - c) / n +- 1.96 sqrt(b + c - (b - c)^2 / n) / n.
    """
    gained, lost, total = int((after & ~before).sum()), int((before & ~after).sum()), len(before)
    half = _SIGMAS * math.sqrt(max(gained + lost - (gained - lost) ** 2 / total, 0)) / total
    change = (gained - lost) / total
    return change - half, change + half


def _accuracy(found: Comparison) -> Row:
    before, after = found.first.quality.accuracy, found.second.quality.accuracy
    low, high = paired_interval(found.first.right, found.second.right)
    refusal = f"accuracy changed from {before:.2%} to {after:.2%}, {low:+.1%} to {high:+.1%} with 95 % certainty"
    return Row("accuracy", f"{before:.2%}", f"{after:.2%}", "interval reaches 0", high >= 0, refusal)


def _calibration(found: Comparison) -> Row:
    before, after = found.first.quality.calibration_error, found.second.quality.calibration_error
    refusal = (
        f"the calibration error rose from {before:.2%} to {after:.2%}, and {CALIBRATION_MARGIN:.0%} more is allowed"
    )
    allowed = f"up to {before + CALIBRATION_MARGIN:.2%}"
    return Row(
        "calibration error", f"{before:.2%}", f"{after:.2%}", allowed, after <= before + CALIBRATION_MARGIN, refusal
    )


def _recalls(found: Comparison) -> list[Row]:
    rows = []
    for place, label in enumerate(found.labels):
        own = found.second.truth == place
        if not own.any():
            continue
        before, after = found.first.right[own], found.second.right[own]
        beyond_chance = paired_interval(before, after)[1] < 0
        fell = float(before.mean() - after.mean())
        refusal = (
            f"the recall of {label} fell from {before.mean():.2%} to {after.mean():.2%}, more than {RECALL_MARGIN:.0%}"
        )
        passed = fell <= RECALL_MARGIN or not beyond_chance
        allowed = f"from {max(before.mean() - RECALL_MARGIN, 0):.2%}, or chance"
        rows.append(Row(f"recall of {label}", f"{before.mean():.2%}", f"{after.mean():.2%}", allowed, passed, refusal))
    return rows


def _latency(found: Comparison) -> Row:
    before, after = found.first.cpu_ms, found.second.cpu_ms
    refusal = (
        f"one example costs {found.cpu_ratio:.2f} times the CPU time, and {1 + LATENCY_MARGIN:.2f} times is allowed"
    )
    allowed = f"up to {1 + LATENCY_MARGIN:.2f} times"
    return Row(
        "CPU of one example",
        f"{before:.2f} ms",
        f"{after:.2f} ms, {found.cpu_ratio:.2f} times",
        allowed,
        found.cpu_ratio <= 1 + LATENCY_MARGIN,
        refusal,
    )
