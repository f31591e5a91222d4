"""Waiting for a fact, not for a time."""

import time
from collections.abc import Callable


def until(fact: Callable[[], object], timeout_s: float = 20) -> None:
    """Return once the fact is true; a test that waits in vain fails and names what it waited for."""
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        time.sleep(0.005)
