"""Programs that only a busy model is worth: compiled beside the answers, once they would have been used a few times.

A program for two rows makes each an eighth cheaper and takes half a second of CPU and 40 MB for a MobileNetV2.
Until it is there, and if it never comes, rows are run one by one.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from serving import memory
from serving.errors import ServingError
from serving.modelserver.runtimes.openvino_compiled import Compiled, grown
from serving.modelserver.runtimes.openvino_conversion import NotConvertible
from serving.modelserver.runtimes.openvino_shapes import Shape

_LOG = logging.getLogger(__name__)


WORTH_IT = 16
"""Runs that could have used a program, before it is compiled: a warm-up and a caller now and then are no load."""

Take = Callable[[Mapping[tuple[Shape, ...], Any]], None]
"""Is given what was compiled, by the shapes that it is for."""


class Growth:
    """Compiles what was left for later, once, on a thread of its own."""

    def __init__(self, compiled: Compiled, take: Take) -> None:
        """Nothing happens until it is missed often enough."""
        self._compiled, self._take = compiled, take
        self._missed = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def missed(self) -> None:
        """Told of every run that could have used a program that is not there yet."""
        self._missed += 1
        if self._missed < WORTH_IT or self._thread is not None:
            return
        with self._lock, contextlib.suppress(RuntimeError):  # the system has no thread left: the next run may ask again
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._grow, name="openvino-growth", daemon=True)
                thread.start()
                self._thread = thread

    def _grow(self) -> None:
        try:
            self._take(grown(self._compiled))
            memory.give_back()  # what compiling has left: 33 MB of 75
        except (ServingError, NotConvertible, RuntimeError, MemoryError) as error:
            _LOG.warning("%s: rows are run one by one: %s", self._compiled.signature.name, error)

    def close(self) -> None:
        """Begin nothing any more, and wait for what has begun."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join()
