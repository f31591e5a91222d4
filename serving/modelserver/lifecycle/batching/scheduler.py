"""Queues of batches and the threads, shared by all models, that run them.

Knows rows and times, not arrays: what a batch does is the business of the queue's owner
(scheduled.py). A batch is run when it is full, or when it has waited for its queue's timeout.

Source: tensorflow/core/kernels/batching_util/shared_batch_scheduler.h (rules and texts).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from serving.errors import BadInput, Unavailable
from serving.modelserver.lifecycle.batching.parameters import BatchingParameters

LOG = logging.getLogger(__name__)


class Piece(Protocol):
    """A request, or a part of one that was split over several batches."""

    @property
    def rows(self) -> int:
        """Rows that it brings."""


class Batch:
    """Pieces that will run together."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.rows = 0
        self.opened = time.monotonic()

    def add(self, piece: Piece) -> None:
        """Take one in."""
        self.pieces.append(piece)
        self.rows += piece.rows


Process = Callable[[Sequence[Piece]], None]


class Queue:
    """Batches of one kind that wait; only the last of them still takes pieces in. Used under the scheduler's lock."""

    def __init__(self, parameters: BatchingParameters, process: Process) -> None:
        self._parameters, self.process = parameters, process
        self._most = parameters.rows_per_run
        self.batches: deque[Batch] = deque()

    @property
    def room(self) -> int:
        """Rows that the open batch still takes."""
        return self._most - self.batches[-1].rows if self.batches else 0

    def sizes(self, rows: int) -> list[int]:
        """How a request of so many rows would be cut: not at all, unless the parameters allow splitting."""
        if not self._parameters.enable_large_batch_splitting or rows <= self.room:
            return [rows]
        first = [self.room] if self.room else []
        rest = rows - sum(first)
        full, last = divmod(rest, self._most)
        return first + [self._most] * full + ([last] if last else [])

    def check(self, rows: int) -> None:
        """Whether so many rows may come in.

        Raises:
            BadInput: more than a request may bring.
            Unavailable: the queue is full.
        """
        parameters = self._parameters
        if rows > parameters.max_batch_size:
            raise BadInput(f"Task size {rows} is larger than maximum input batch size {parameters.max_batch_size}")
        sizes = self.sizes(rows)
        fresh = len(sizes) - (bool(self.batches) and sizes[0] <= self.room)
        if len(self.batches) + fresh > max(1, parameters.max_enqueued_batches):
            raise Unavailable(
                "The batch scheduling queue to which this task was submitted is full; currently "
                f"{len(self.batches)} batches enqueued and max_enqueued_batches is {parameters.max_enqueued_batches}"
            )

    def add(self, piece: Piece) -> None:
        """Put a piece into the open batch, or into a new one."""
        if not self.batches or piece.rows > self.room:
            self.batches.append(Batch())
        self.batches[-1].add(piece)

    def due(self) -> float:
        """When the first batch is to run, in time.monotonic() seconds; -inf: at once."""
        first = self.batches[0]
        if len(self.batches) > 1 or first.rows >= self._most:
            return float("-inf")
        return first.opened + self._parameters.batch_timeout_micros / 1e6


class Scheduler:
    """The threads, and all queues that have something in them."""

    def __init__(self, threads: int, name: str) -> None:
        """Args: threads: batches that run at a time. name: of the threads."""
        self._changed = threading.Condition()
        self._queues: dict[Hashable, Queue] = {}
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        kind: Hashable,
        parameters: BatchingParameters,
        process: Process,
        rows: int,
        cut: Callable[[Sequence[int]], Sequence[Piece]],
    ) -> None:
        """Put a request into the queue of its kind.

        Args:
            kind: requests of one kind may run together.
            parameters: of that queue.
            process: runs a batch; must not raise.
            rows: what the request brings.
            cut: makes its pieces, of the sizes given.

        Raises:
            BadInput: more rows than a request may bring.
            Unavailable: the queue is full, or the server is closing.
        """
        with self._changed:
            if self._closed:
                raise Unavailable("the server is shutting down")
            queue = self._queues.get(kind) or Queue(parameters, process)
            queue.check(rows)
            for piece in cut(queue.sizes(rows)):
                queue.add(piece)
            self._queues[kind] = queue
            self._changed.notify()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            process, batch = taken
            try:
                process(batch.pieces)
            except Exception:  # a thread of the pool must outlive every batch
                LOG.exception("a batch of %d rows was lost", batch.rows)

    def _take(self) -> tuple[Process, Batch] | None:
        """Wait for a batch that is due, taking the queues in turn; None when there is nothing more to do."""
        with self._changed:
            while True:
                now, next_due = time.monotonic(), threading.TIMEOUT_MAX
                for kind, queue in self._queues.items():
                    if self._closed or queue.due() <= now:
                        return queue.process, self._pop(kind)
                    next_due = min(next_due, queue.due() - now)
                if self._closed:
                    return None
                self._changed.wait(next_due)

    def _pop(self, kind: Hashable) -> Batch:
        queue = self._queues.pop(kind)
        batch = queue.batches.popleft()
        if queue.batches:
            self._queues[kind] = queue  # behind the others now
        return batch

    def close(self, timeout_s: float = 10.0) -> None:
        """Run what waits, then end the threads; one whose run takes longer than this is left to itself."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
