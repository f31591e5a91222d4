"""What a stack promises at 40 % of its saturation, and whether it kept that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.load.record import SpellFigures

ERROR_RATIO = 0.001
P99_MS: Mapping[str, float] = {"photos": 250, "reviews": 150, "rows": 150, "predict": 250, "status": 250}
"""Milliseconds that 99 of 100 answers take at most, by kind; the alerts watch the same bound for photos."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective and what was measured."""

    objective: str
    measured: float
    at_most: float

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.measured <= self.at_most

    def as_json(self) -> dict[str, Any]:
        """With the verdict itself."""
        return asdict(self) | {"met": self.met}


def bounds(changed: Iterable[str]) -> dict[str, float]:
    """The bounds on p99, some changed by KIND=MILLISECONDS.

    Raises:
        ValueError: not of that form, or a kind that there is not.
    """
    found = dict(P99_MS)
    for text in changed:
        kind, _, value = text.partition("=")
        if kind not in P99_MS:
            raise ValueError(f"{text!r} is no objective; write KIND=MILLISECONDS, KIND one of {', '.join(P99_MS)}")
        found[kind] = float(value)
    return found


def judged(spells: Sequence[SpellFigures], p99_ms: Mapping[str, float], error_ratio: float) -> list[Verdict]:
    """Every objective against the worst of the spells to which it applies."""
    found: dict[str, Verdict] = {}
    for spell in spells:
        for kind, figures in spell.kinds.items():
            verdicts = [Verdict(f"{kind}: error ratio", figures.error_ratio, error_ratio)]
            if kind in p99_ms:
                verdicts.append(Verdict(f"{kind}: p99 ms", figures.p99_ms, p99_ms[kind]))
            for verdict in verdicts:
                worst = found.get(verdict.objective)
                if worst is None or verdict.measured > worst.measured:
                    found[verdict.objective] = verdict
    return list(found.values())
