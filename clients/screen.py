"""What a person sees while a command works: a bar with rate and time left, problems, and the table of states."""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from clients.answers import ModelStatus
from clients.closed_loop import Tally, histogram
from clients.plan import CORES_EACH, Plan
from clients.rates import Rates

_COLORS = {"AVAILABLE": "green", "LOADING": "yellow", "UNLOADING": "yellow"}


class Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """The rate of the last half minute, nothing before the first item."""
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


def bar(total: int) -> Progress:
    """A progress bar for so many items; it shows nothing for a single one, or where nobody looks."""
    columns: tuple[Any, ...] = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    progress = Progress(
        *columns, console=console, disable=total < 2 or not console.is_terminal, redirect_stdout=False, transient=True
    )
    progress.add_task("asking", total=total)
    return progress


def complain(progress: Progress, text: str) -> None:
    """One line about a problem, above the bar if there is one."""
    if progress.disable:
        print(text, file=sys.stderr, flush=True)
    else:
        progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def states(
    models: Iterable[ModelStatus], note: str = "", rates: Mapping[tuple[str, str], Rates] | None = None
) -> Group:
    """A table of models, versions and states; with `rates` also of what each is doing now."""
    live = () if rates is None else ("requests/s", "failed/s", "mean ms")
    table = Table("model", "task", "labels", "version", "state", *live, "error")
    for model in models:
        task = (model.task or "no card").replace("_", " ")
        for version in model.versions:
            color = _COLORS.get(version.state, "red")
            shown = Text(version.state, style=color)
            labels = Text(", ".join(model.labels[:5]) + (" ..." if len(model.labels) > 5 else ""))
            now = () if rates is None else _now(rates.get((model.name, str(version.version))))
            table.add_row(Text(model.name), task, labels, str(version.version), shown, *now, Text(version.error))
    return Group(table, Text(note, style="dim"))


def _now(rates: Rates | None) -> tuple[str, str, str]:
    if rates is None:
        return "0", "0", ""
    mean = f"{rates.mean_ms:.1f}" if math.isfinite(rates.mean_ms) else ""
    return f"{rates.per_second:.1f}", f"{rates.failed_per_second:.1f}", mean


def tallied(tally: Tally, callers: int) -> Group:
    """What a closed loop came to: rate, latencies, their histogram, refusals."""
    shares = ", ".join(f"p{round(100 * share)} {tally.percentile_ms(share):.1f} ms" for share in (0.5, 0.9, 0.99))
    head = f"{tally.per_second:,.1f} answers/s by {callers} callers in {tally.seconds:.1f} s; {shares}"
    refusals = [f"{count} x {text}" for text, count in tally.failures.most_common(5)]
    return Group(*(Text(line) for line in (head, *histogram(tally.latencies_s), *refusals)))


def planned(found: Plan) -> Group:
    """A fleet, and what was assumed."""
    table = Table(
        "tier",
        "CPU ms",
        "cores",
        "replicas",
        "busy",
        "wait p99 ms",
        caption=f"replicas of {CORES_EACH} cores; wait with a zone lost",
    )
    for tier in found.tiers:
        numbers = (f"{tier.cpu_ms:.3g}", str(tier.cores), str(tier.replicas))
        table.add_row(tier.name, *numbers, f"{tier.busy:.0%}", f"{tier.wait_p99_ms:.1f}")
    lines = [f"expected p99 with a zone lost: {found.p99_ms:.1f} ms", *(f"- {each}" for each in found.assumptions)]
    return Group(table, *map(Text, lines))
