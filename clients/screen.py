"""What a person sees while a command works: a bar with rate and time left, problems, and the table of states."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from clients.answers import ModelStatus

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


def states(models: Iterable[ModelStatus], note: str = "") -> Group:
    """A table of models, versions and states."""
    table = Table("model", "task", "labels", "version", "state", "error")
    for model in models:
        task = (model.task or "no card").replace("_", " ")
        for version in model.versions:
            color = _COLORS.get(version.state, "red")
            shown = Text(version.state, style=color)
            labels = Text(", ".join(model.labels[:5]) + (" ..." if len(model.labels) > 5 else ""))
            table.add_row(Text(model.name), task, labels, str(version.version), shown, Text(version.error))
    return Group(table, Text(note, style="dim"))
