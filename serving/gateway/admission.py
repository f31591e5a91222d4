"""Admission: who may work now, who waits a moment, and who is told at once to come back later.

`front.py` asks on the event loop before any thread, decoding or predicting is spent on a request,
so a refusal costs microseconds however busy the threads are. How many may work is learned by
`limit.py`. Whoever waits does so in a bounded queue, and patience is a purse: it fills while nobody
waits and empties while somebody does. So a burst may queue for up to BURST_S, but under steady
overload nobody waits longer than about one idle latency.

Source of the queue's rule: the aim of CoDel as in "Fail at Scale" (ACM Queue 13-8), for short queues.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic

from serving.errors import DeadlineExceeded, Overloaded
from serving.gateway.limit import AdaptiveLimit

BURST_S = 0.25
REFILL = 0.5
"""Seconds of patience that a second without a queue brings."""
SHORTEST_WAIT_S = 0.01


@dataclass(slots=True)
class _Waiter:
    turn: asyncio.Future[None]
    since: float
    deadline: float


class Admission:
    """Lives on one event loop; no method may be called from another thread."""

    def __init__(self, limit: AdaptiveLimit, max_waiting: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.shed = 0
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiter] = deque()
        self._purse_s = BURST_S
        self._counted_at = monotonic()

    @property
    def waiting(self) -> int:
        """Requests in the queue now."""
        return len(self._waiting)

    async def enter(self, deadline: float) -> None:
        """Return when it is this request's turn; `leave` must follow.

        Raises:
            Overloaded: its turn would not come soon enough; says when to try again.
            DeadlineExceeded: the caller's time is over.
        """
        now = monotonic()
        if not self._waiting and self.in_flight < self.limit.value(now):
            self.in_flight += 1
            return
        patience = min(self._patience_s(now), deadline - now)
        if len(self._waiting) >= self._max_waiting or self._wait_s(len(self._waiting) + 1) > patience:
            self._refuse(now, deadline)
        await self._turn(now, patience, deadline)

    async def _turn(self, now: float, patience: float, deadline: float) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), now, deadline)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(patience):
                await waiter.turn
        except (TimeoutError, asyncio.CancelledError) as error:
            self._forget(waiter)
            if isinstance(error, asyncio.CancelledError):
                raise
            self._refuse(monotonic(), deadline)

    def leave(self) -> None:
        """The work is done, well or not; the next in the queue has its turn."""
        self.in_flight -= 1
        self.admit()

    def admit(self) -> None:
        """Give turns to as many as the limit lets in now."""
        now = monotonic()
        self._patience_s(now)
        while self._waiting and self.in_flight < self.limit.value(now):
            waiter = self._waiting.popleft()
            if waiter.turn.done():
                continue
            self.in_flight += 1
            waiter.turn.set_result(None)

    def learn(self, kind: Hashable, latency_s: float) -> None:
        """Take in how long one admitted request took, before it leaves."""
        self.limit.sample(kind, latency_s, self.in_flight, monotonic())

    def _patience_s(self, now: float) -> float:
        """How long a request may wait, after bringing the purse up to date; called before the queue changes."""
        elapsed = now - self._counted_at
        self._counted_at = now
        self._purse_s += -elapsed if self._waiting else elapsed * REFILL
        self._purse_s = min(BURST_S, max(0.0, self._purse_s))
        return max(SHORTEST_WAIT_S, self._purse_s, self.limit.baseline_s())

    def _wait_s(self, place: int) -> float:
        """After how long the turn of a place in the queue comes, as far as can be told."""
        return (place - 0.5) * self.limit.latency_s / self.limit.value(monotonic())  # one is half done on average

    def _refuse(self, now: float, deadline: float) -> None:
        if now >= deadline:
            raise DeadlineExceeded("the time for this request was over before its turn came", retry_after_s=1)
        self.shed += 1
        retry = self._wait_s(self.in_flight + len(self._waiting))
        raise Overloaded("more work than can be finished in time; try again after Retry-After", retry_after_s=retry)

    def _forget(self, waiter: _Waiter) -> None:
        """Take a waiter out; if its turn had just come, pass it on."""
        if waiter.turn.done() and not waiter.turn.cancelled():
            self.leave()
        elif waiter in self._waiting:
            self._waiting.remove(waiter)
