"""Ctrl-C and SIGTERM while a model learns: the first waits for the end of the epoch, the second does not.

`phase.py` asks after every epoch, when its checkpoint is safe. Exit codes are in `exits.py`.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType
from typing import Any

from training.progress import Progress


class Stopped(Exception):
    """The run stopped where it can go on; the text says how."""


class Interruption:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        """Nobody has."""
        self.asked = False

    @contextlib.contextmanager
    def heeded(self, progress: Progress) -> Iterator[None]:
        """Within the block the first signal is only noted; outside of the main thread nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        # A signal may come in the midst of a line, and a stream is not written to twice; nor may a thread be started
        # then. This queue's put() may be called whatever was interrupted.
        sentences: SimpleQueue[str] = SimpleQueue()
        teller = threading.Thread(target=_tell, args=(sentences, progress), name="stopping", daemon=True)
        teller.start()

        def note(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            sentences.put("Stopping after this epoch; once more stops at once")

        before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            sentences.put("")
            teller.join()


def _tell(sentences: SimpleQueue[str], progress: Progress) -> None:
    """Say what comes, up to an empty sentence."""
    while sentence := sentences.get():
        progress.say(sentence)
