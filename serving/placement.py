"""On which cores threads run: those that need the interpreter together, those that compute wherever there is room.

One thread at a time runs Python. On two cores the interpreter goes back and forth between them, and each time
a sleeping core has to be woken: a call that computes nothing took 1.30 ms of CPU so and 0.76 on one core
(docs/performance.md). So on exactly two cores all of Python's threads keep to one, and what OpenVINO and
TensorFlow compute with has both. With more cores nothing happens here: there, decoding has to spread.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

_GIVEN = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())
"""The cores that this process had when it started; empty where the system does not say."""

_lock = threading.Lock()
_home = _GIVEN
_spread: set[int] = set()
"""Threads, by the system's number, that are inside `spread_out`."""


def keep_together(place: int = 0) -> None:
    """From now on, Python's threads share one of two cores; threads that they start inherit it.

    Args:
        place: which one, 0 or -1, so that two servers on one machine need not take the same.
    """
    global _home
    if len(_GIVEN) != 2:
        return
    with _lock:
        _home = frozenset({sorted(_GIVEN)[place]})
        for thread in threading.enumerate():
            if thread.native_id is not None and thread.native_id not in _spread:
                _move(thread.native_id, _home)


@contextlib.contextmanager
def spread_out() -> Iterator[None]:
    """What this thread starts in the block, and this thread itself, may run on every core of the process."""
    this = threading.get_native_id()
    with _lock:
        outermost = this not in _spread
        _spread.add(this)
        if _home != _GIVEN:
            _move(this, _GIVEN)
    try:
        yield
    finally:
        if outermost:
            with _lock:
                _spread.discard(this)
                if _home != _GIVEN:
                    _move(this, _home)


def _move(thread: int, cores: frozenset[int]) -> None:
    if cores:
        with contextlib.suppress(OSError):  # it has ended, or the container forbids it: then it stays where it is
            os.sched_setaffinity(thread, cores)
