"""Measure several things in turn, round after round, so that a machine that drifts hits all of them alike.

A measure is a function that works for a few seconds and returns figures by name; what comes out is the
median of every figure and how far its rounds lay apart.
"""

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

Measure = Callable[[], Mapping[str, float]]
Check = tuple[str, float, str, float]
"""What, the measured value, "<=" or ">=", the value to reach."""


@dataclass(slots=True)
class Rounds:
    """Every figure of every round."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def median(self, what: str, figure: str) -> float:
        """The middle of the rounds."""
        return statistics.median(self.figures[what][figure])

    def spread(self, what: str, figure: str) -> str:
        """Median, and the lowest and highest of the rounds."""
        values = self.figures[what][figure]
        return f"{statistics.median(values):.4g} ({min(values):.3g}-{max(values):.3g})"

    def ratio(self, above: tuple[str, str], below: tuple[str, str]) -> float:
        """The median over the rounds of one figure divided by another."""
        pairs = zip(self.figures[above[0]][above[1]], self.figures[below[0]][below[1]], strict=True)
        return statistics.median([first / second for first, second in pairs])

    def table(self, title: str, columns: Sequence[str]) -> Table:
        """One row a measure, one column a figure."""
        table = Table("what", *columns, title=title)
        for what, figures in self.figures.items():
            table.add_row(what, *(self.spread(what, name) if name in figures else "" for name in columns))
        return table


def alternate(measures: Mapping[str, Measure], rounds: int) -> Rounds:
    """Take every measure once a round, every other round in reverse order."""
    found = Rounds({what: {} for what in measures})
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=rounds * len(measures))
        for number in range(rounds):
            for what in list(measures)[:: -1 if number % 2 else 1]:
                progress.update(task, description=f"round {number + 1} of {rounds}: {what}")
                for name, value in measures[what]().items():
                    found.figures[what].setdefault(name, []).append(value)
                progress.advance(task)
    return found


def verdicts(checks: Sequence[Check]) -> Table:
    """Each check with whether it holds."""
    table = Table("must reach", "measured", "wanted", "")
    for what, value, relation, wanted in checks:
        good = value <= wanted if relation == "<=" else value >= wanted
        table.add_row(what, f"{value:.4g}", f"{relation} {wanted:g}", "yes" if good else "NO")
    return table


def machine() -> str:
    """Enough to know which machine a figure is of."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    bfloat16 = "bfloat16" if {"amx_bf16", "avx512_bf16"} & set(flags) else "no bfloat16"
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {model or platform.machine()}, {bfloat16}, Python {platform.python_version()}"


def save(out: Path, name: str, document: Mapping[str, Any]) -> None:
    """Keep the raw figures, with the machine and the command line."""
    out.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"machine": machine(), "when": when, "command": sys.argv, "load_average": os.getloadavg(), **document}
    (out / f"{name}.json").write_text(json.dumps(whole, indent=1))
