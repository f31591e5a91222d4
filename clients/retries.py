"""Trying again: only what may help, with jitter, and never past the deadline."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from serving.errors import DeadlineExceeded, Overloaded, RateLimited, ServingError, Unavailable

Answer = TypeVar("Answer")

WORTH_ANOTHER_TRY = (Unavailable, Overloaded, RateLimited)
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


def persevere(call: Callable[[float], Answer], deadline: float, attempts: int) -> Answer:
    """Call up to `attempts` times, with waits that double, until `deadline` in `time.monotonic()` seconds.

    Raises:
        DeadlineExceeded: the time was over before the call could be made.
        ServingError: what the last attempt raised.
    """
    for attempt in range(1, attempts + 1):
        if time.monotonic() >= deadline:
            break
        try:
            return call(deadline)
        except WORTH_ANOTHER_TRY as error:
            wait_s = _wait_s(error, attempt)
            if attempt == attempts or time.monotonic() + wait_s >= deadline:
                raise
            time.sleep(wait_s)
    raise DeadlineExceeded("the time for this call was over before it could be made")


def _wait_s(error: ServingError, attempt: int) -> float:
    """What the server asked for and up to half as much again, or else anything up to a doubling bound."""
    if error.retry_after_s is not None:
        return error.retry_after_s * random.uniform(1.0, 1.5)
    return random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt))
