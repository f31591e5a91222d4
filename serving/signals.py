"""SIGTERM and SIGINT, heard by a thread of their own; every server of this project ends by this room."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Signals:
    """Calls `begin` at the first signal and ends the process at the second.

    A thread reads the signals from a socket that the interpreter writes them to. A handler's code would
    run in the middle of what the main thread does, where a lock may be held that it wants too, and an
    exception may be lost. Made in the main thread, once the process does something that must end well.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._signals, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _signal, _frame: None)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _listen(self) -> None:
        told = self._signals.recv(1)
        log.warning("%s: ending", signal.Signals(told[0]).name if told else "the socket of signals was closed")
        threading.Thread(target=self._begin, name="stop", daemon=True).start()
        self._signals.recv(1)
        os._exit(1)  # asked twice: do not wait for what is under way
