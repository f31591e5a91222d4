"""What a stack promises at 40 % of its saturation, and whether it kept that."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.load.record import KindFigures, SpellFigures

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


def judged(
    spells: Sequence[SpellFigures], p99_ms: Mapping[str, float], error_ratio: float, asked: Iterable[str] = ()
) -> list[Verdict]:
    """Every objective against the worst of the spells to which it applies.

    A kind that was `asked` and got no answer at all in a spell, not even a bad one, has failed there: its
    callers still wait.
    """
    found: dict[str, Verdict] = {}
    kinds = sorted({*asked, *(kind for spell in spells for kind in spell.kinds)})
    for spell in spells:
        for kind in kinds:
            for verdict in _verdicts(kind, spell.kinds.get(kind), p99_ms, error_ratio):
                worst = found.get(verdict.objective)
                if worst is None or verdict.measured > worst.measured:
                    found[verdict.objective] = verdict
    return list(found.values())


def _verdicts(
    kind: str, figures: KindFigures | None, p99_ms: Mapping[str, float], error_ratio: float
) -> Iterator[Verdict]:
    yield Verdict(f"{kind}: error ratio", 1.0 if figures is None else figures.error_ratio, error_ratio)
    if kind in p99_ms and figures is not None:
        yield Verdict(f"{kind}: p99 ms", figures.p99_ms, p99_ms[kind])
