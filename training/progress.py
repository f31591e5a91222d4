"""Progress of long steps with the time left, on stderr, for people and for logs.

A terminal gets a moving bar; a log file gets a line every few seconds. Results go to stdout
and are nobody's business here.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

Advance = Callable[..., None]
"""advance(steps=1, note=""): so many more steps are done; the note stands behind the bar."""

_LINE_EVERY_S = 5.0


class Progress:
    """Shows one step after another; `visible=False` shows nothing (tests, quiet runs)."""

    def __init__(self, *, visible: bool = True) -> None:
        """Args: visible: False for silence."""
        self.console = Console(stderr=True, quiet=not visible, highlight=False)

    def say(self, sentence: str) -> None:
        """Print one line that stays."""
        self.console.print(sentence, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def steps(self, what: str, total: int) -> Iterator[Advance]:
        """Show a step of `total` parts; the block calls the yielded function as parts are done."""
        if not self.console.is_terminal:
            yield _Lines(self.console, what, total)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        left = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        with Bars(*columns, *left, console=self.console) as bars:
            task = bars.add_task(what, total=total, note="")
            yield lambda steps=1, note="": bars.update(task, advance=steps, **({"note": note} if note else {}))


class _Lines:
    """Progress for a log: a line at the end and every few seconds before."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console, self._what, self._total = console, what, total
        self._done, self._started = 0, time.monotonic()
        self._spoke = self._started
        self._first: tuple[int, float] | None = None

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Count, and say so if it is time."""
        self._done += steps
        now = time.monotonic()
        if self._first is None and steps:
            self._first = self._done, now
        if self._done >= self._total or now - self._spoke > _LINE_EVERY_S:
            self._spoke = now
            line = f"{self._what}: {self._done} of {self._total}, {now - self._started:.0f} s{self._left(now)}  {note}"
            self._console.print(line.rstrip(), markup=False, soft_wrap=True)

    def _left(self, now: float) -> str:
        """By the pace since the first call, which may stand for what an earlier run did, or took long to compile."""
        done, begun = self._first or (self._done, now)
        if done == self._done:
            return ""
        return f", {(now - begun) / (self._done - done) * (self._total - self._done):.0f} s left"
