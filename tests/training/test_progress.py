"""Progress as a log shows it, and what a signal in the midst of a line does to it."""

import io
import signal
import threading
import time
from typing import Any

import pytest

from training.interruption import Interruption
from training.progress import Progress


def test_the_time_left_goes_by_the_pace_of_this_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress, log = Progress(), io.StringIO()
    progress.console.file = log

    with progress.steps("Training", 100) as advance:
        advance(80)  # by the run that was stopped
        clock[0] += 10
        advance(5)

    assert log.getvalue() == "Training: 85 of 100, 10 s, 30 s left\n"


def test_a_step_that_was_done_before_is_a_line_of_its_own() -> None:
    progress, log = Progress(), io.StringIO()
    progress.console.file = log

    with progress.steps("Training", 100) as advance:
        advance(100)

    assert log.getvalue() == "Training: 100 of 100, 0 s\n"


class Pressed(io.RawIOBase):
    """A terminal at which Ctrl-C is pressed while the first line is being written."""

    def __init__(self) -> None:
        self.said = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if not self.said:
            signal.raise_signal(signal.SIGINT)
        self.said += bytes(data)
        return len(data)


def test_a_stop_that_is_asked_for_in_the_midst_of_a_line_leaves_the_line_whole() -> None:
    progress, stop, terminal = Progress(), Interruption(), Pressed()
    progress.console.file = io.TextIOWrapper(io.BufferedWriter(terminal))

    with stop.heeded(progress):
        progress.say("one line")
    for thread in threading.enumerate():
        if thread.name == "stopping":
            thread.join()

    assert stop.asked
    assert terminal.said.decode().splitlines() == ["one line", "Stopping after this epoch; once more stops at once"]
