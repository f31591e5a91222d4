"""Admission: who may work now, who waits a moment, and who is told at once to come back later.

`front.py` asks on the event loop before any thread, decoding or predicting is spent on a request,
so a refusal costs microseconds however busy the threads are. How many may work is learned by
`limit.py`. Whoever waits does so in a bounded queue. How long it may, is a matter of credit: every
request takes one, every answer gives one back, and an idle queue adds some. So a burst, or a few
callers that each wait for their answer, may queue for up to BURST_S; but where more keeps coming
than goes, credit runs out, and whoever would have to wait longer than `AdaptiveLimit.budget_s` leaves
for it is refused at the door. Who was let into the queue without credit gets its turn, even if that
comes a little later than it seemed; who waits on credit when it runs out is refused then.

Source of the queue's rule: CoDel as in "Fail at Scale" (ACM Queue 13-8), with credit for its clock.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic

from serving.errors import DeadlineExceeded, Overloaded
from serving.gateway.limit import AdaptiveLimit

BURST_S = 1.0
GIVEN_BACK = 1.1
"""Credit for an answer; a little more than was taken, so that it recovers."""
DEBT = 8.0
"""How far under nothing the credit may go, so that one answer does not end an overload."""
REFILL_PER_S = 32.0
"""Credit that a second without a queue brings."""
SHORTEST_WAIT_S = 0.01


@dataclass(slots=True)
class _Waiter:
    turn: asyncio.Future[bool]
    """True when it comes, False when it is better refused."""
    since: float
    on_credit: bool
    """It may wait longer than the queue in front of it is worth, while the credit lasts."""


class Admission:
    """Lives on one event loop; no method may be called from another thread."""

    def __init__(self, limit: AdaptiveLimit, max_waiting: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.shed = 0
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiter] = deque()
        self._most_credit = self._credit = float(max(1, max_waiting))
        self._counted_at = monotonic()

    @property
    def waiting(self) -> int:
        """Requests in the queue now."""
        return len(self._waiting)

    def is_busy(self) -> bool:
        """Whether another request now would have to wait, or nearly; any thread."""
        return bool(self._waiting) or 2 * self.in_flight >= self.limit.value(monotonic())

    def enter_at_once(self) -> bool:
        """Whether it is this request's turn now: then `leave` must follow, else `wait`."""
        now = monotonic()
        self._count(now, -1)
        if self._waiting or self.in_flight >= self.limit.value(now):
            return False
        self.in_flight += 1
        return True

    async def wait(self, deadline: float) -> None:
        """Return when it is this request's turn; `leave` must follow.

        Raises:
            Overloaded: its turn would not come soon enough; says when to try again.
            DeadlineExceeded: the caller's time is over.
        """
        now = monotonic()
        patience, left = self._patience_s(), deadline - now
        if len(self._waiting) >= self._max_waiting or self._wait_s(len(self._waiting) + 1) > min(patience, left):
            self._refuse(now, deadline)
        await self._turn(now, deadline)

    async def _turn(self, now: float, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), now, self._credit > 0)
        self._waiting.append(waiter)
        clock = loop.call_later(min(BURST_S, deadline - now), self._give_up, waiter)
        try:
            in_time = await waiter.turn
        except asyncio.CancelledError:
            self._forget(waiter)
            raise
        finally:
            clock.cancel()
        if not in_time:
            self._refuse(monotonic(), deadline)

    def _give_up(self, waiter: _Waiter) -> None:
        """Its turn has not come in time."""
        if not waiter.turn.done():
            self._waiting.remove(waiter)
            waiter.turn.set_result(False)

    def leave(self) -> None:
        """The work is done, well or not; the next in the queue has its turn."""
        self.in_flight -= 1
        self._count(monotonic(), GIVEN_BACK)
        self.admit()

    def admit(self) -> None:
        """Give turns to as many as the limit lets in now."""
        now = monotonic()
        while self._waiting and self.in_flight < self.limit.value(now):
            waiter = self._waiting.popleft()
            if waiter.turn.done():
                continue
            overdue = waiter.on_credit and self._credit <= 0 and now - waiter.since > self._patience_s()
            if in_time := not overdue:
                self.in_flight += 1
            waiter.turn.set_result(in_time)

    def learn(self, kind: Hashable, latency_s: float) -> None:
        """Take in how long one admitted request took, before it leaves."""
        self.limit.sample(kind, latency_s, self.in_flight, monotonic())

    def _count(self, now: float, change: float) -> None:
        """Bring the credit up to date."""
        if not self._waiting:
            change += (now - self._counted_at) * REFILL_PER_S
        self._counted_at = now
        self._credit = min(self._most_credit, max(-DEBT, self._credit + change))

    def _patience_s(self) -> float:
        """How long a request may wait: generous while there is credit, short when more comes than goes."""
        if self._credit > 0:
            return BURST_S
        return max(SHORTEST_WAIT_S, self.limit.budget_s() - self.limit.latency_s)

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
            if waiter.turn.result():
                self.leave()
        elif waiter in self._waiting:
            self._waiting.remove(waiter)
