"""Batches only while the model is busy: a lone request runs at once, in the thread that brought it.

Up to `parallel` requests run side by side. While they do, others wait in the order they came. Whoever
finishes a run picks the next batch out of those that wait and wakes the first of them, which runs the
batch for all (leader and followers): there is no thread of its own, and an idle model has no queue.
"""

import threading
import time
from collections import deque
from collections.abc import Collection, Hashable
from typing import Any

from numpy.typing import NDArray

from serving.errors import DeadlineExceeded, Overloaded, Unavailable
from serving.modelserver.lifecycle.batching.merge import check_rows, form_of, join, latest, rows_of, split
from serving.modelserver.lifecycle.batching.parameters import BatchingOptions
from serving.modelserver.metrics import VersionMeter
from serving.modelserver.runtimes.protocol import LoadedModel, Tensors

Answer = dict[str, NDArray[Any]]

_LATE = "the deadline of the request passed while it waited for its run"


class Task:
    """One request that waits."""

    __slots__ = ("batch", "came", "deadline", "error", "form", "gate", "inputs", "outcome", "outputs", "rows", "told")

    def __init__(
        self,
        form: Hashable | None,
        rows: int,
        inputs: Tensors,
        outputs: Collection[str] | None,
        deadline: float | None,
    ) -> None:
        self.form, self.rows = form, rows
        """What it may be merged with (None: nothing), and how many rows it brings."""
        self.inputs, self.outputs, self.deadline = inputs, outputs, deadline
        self.came = time.monotonic()
        self.batch: list[Task] | None = None
        """Of the first of a batch: all of it. Whoever finds this set must run it."""
        self.outcome: Answer | None = None
        self.error: BaseException | None = None
        self.gate = threading.Lock()
        """Held until there is something to do or to take away."""
        self.gate.acquire()
        self.told = False

    def tell(self) -> None:
        """Wake the thread that brought the request: it is answered."""
        if not self.told:
            self.told = True
            self.gate.release()

    def late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and now >= self.deadline


class Adaptive:
    """The default batcher of models that gain from batches."""

    def __init__(self, model: LoadedModel, options: BatchingOptions, meter: VersionMeter) -> None:
        self._model, self._options, self._meter = model, options, meter
        self._parallel = max(1, model.parallel)
        self._mergeable = {name for name, signature in model.signatures.items() if signature.has_rows}
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[Task] = deque()
        self._mean_run_s = 0.01
        """Moving average, for the advice given with a refusal."""

    def run(self, signature: str, inputs: Tensors, outputs: Collection[str] | None, deadline: float | None) -> Answer:
        """Run at once if there is room, else with others in its turn."""
        if deadline is not None and time.monotonic() >= deadline:
            raise DeadlineExceeded("the deadline of the request passed before its run")
        if self._step_in():
            return self._run_now(signature, inputs, outputs, deadline)
        task = Task(*self._form(signature, inputs, outputs), inputs, outputs, deadline)
        if not self._queue(task):
            return self._run_now(signature, inputs, outputs, deadline)
        self._meter.depth.inc()
        try:
            self._wait(task)
        finally:
            self._meter.depth.dec()
        if task.batch is not None:
            self._lead(signature, task.batch)
        if task.error is not None:
            raise task.error
        if task.outcome is None:
            raise Unavailable("the run that this request was part of was broken off; send it again")
        return task.outcome

    def _step_in(self) -> bool:
        with self._lock:
            free = self._running < self._parallel
            self._running += free
            return free

    def _form(self, signature: str, inputs: Tensors, outputs: Collection[str] | None) -> tuple[Hashable | None, int]:
        rows = rows_of(inputs) or 0
        if signature not in self._mergeable or not 0 < rows <= self._options.max_rows:
            return None, rows
        return (signature, None if outputs is None else tuple(outputs), form_of(inputs)), rows

    def _queue(self, task: Task) -> bool:
        """Join those that wait; False if there is room to run by now."""
        with self._lock:
            if self._running < self._parallel:
                self._running += 1
                return False
            waiting = len(self._waiting)
            if waiting < self._options.max_waiting:
                self._waiting.append(task)
                return True
        raise Overloaded(
            f"{waiting} requests wait for this model already; send this one again later",
            retry_after_s=max(0.05, waiting * self._mean_run_s / self._parallel),
        )

    def _wait(self, task: Task) -> None:
        """Until the task is answered or must lead its batch.

        Raises:
            DeadlineExceeded: at the deadline; a run that has begun goes on without this request.
        """
        timeout = -1.0 if task.deadline is None else max(0.0, task.deadline - time.monotonic())
        if task.gate.acquire(timeout=min(timeout, threading.TIMEOUT_MAX)):
            return
        with self._lock:
            if task.batch is not None:
                return  # made the leader at the last moment: the others rely on it
            if task in self._waiting:
                self._waiting.remove(task)
        raise DeadlineExceeded(_LATE)

    def _run_now(
        self, signature: str, inputs: Tensors, outputs: Collection[str] | None, deadline: float | None
    ) -> Answer:
        started = time.monotonic()
        try:
            answer = self._model.run(signature, inputs, outputs, deadline)
        finally:
            self._hand_over()
        self._count(rows_of(inputs) or 0, started)
        self._meter.ran(signature, 0.0, time.monotonic() - started)
        return answer

    def _count(self, rows: int, started: float) -> None:
        self._mean_run_s += (time.monotonic() - started - self._mean_run_s) / 16
        self._meter.batch(rows)

    def _hand_over(self) -> None:
        """A run is over: wake the leader of the next batch, or leave the room free."""
        with self._lock:
            batch = self._next_batch()
            if batch:
                batch[0].batch = batch
            else:
                self._running -= 1
        if batch:
            batch[0].gate.release()

    def _next_batch(self) -> list[Task]:
        """The longest waiting request and those of its form: a fair share of all, 1, 2, 4 or 8 rows."""
        now = time.monotonic()
        while self._waiting:
            first = self._waiting.popleft()
            if not first.late(now):
                break
            first.error = DeadlineExceeded(_LATE)
            first.tell()
        else:
            return []
        if first.form is None:
            return [first]
        batch, rows, most = [first], first.rows, self._share(len(self._waiting) + 1)
        for task in list(self._waiting):
            if rows >= most:
                break
            if task.form == first.form and rows + task.rows <= most and not task.late(now):
                self._waiting.remove(task)
                batch.append(task)
                rows += task.rows
        return batch

    def _share(self, waiting: int) -> int:
        """Rows for one run: the waiting ones divided by the runs side by side, as a power of two if enough wait."""
        fair = -(-waiting // self._parallel)
        size = 1 << (fair - 1).bit_length()
        return min(size if size <= waiting else size // 2, self._options.max_rows)

    def _lead(self, signature: str, batch: list[Task]) -> None:
        """Run a batch for all its requests, this thread's own among them."""
        try:
            try:
                self._run_batch(signature, batch)
            finally:
                self._hand_over()
        finally:
            for follower in batch[1:]:
                follower.tell()

    def _run_batch(self, signature: str, batch: list[Task]) -> None:
        started = time.monotonic()
        if len(batch) == 1:
            self._run_alone(signature, batch[0])
            return
        sizes = [task.rows for task in batch]
        try:
            inputs, deadline = join([task.inputs for task in batch]), latest(task.deadline for task in batch)
            answer = self._model.run(signature, inputs, batch[0].outputs, deadline)
            check_rows(answer, sum(sizes))
        except Exception:  # one of them is to blame: each alone, so that only that one fails
            for task in batch:
                self._run_alone(signature, task)
                if task is not batch[0]:
                    task.tell()
            return
        self._count(sum(sizes), started)
        run_s = time.monotonic() - started
        for task, part in zip(batch, split(answer, sizes), strict=True):
            self._meter.ran(signature, started - task.came, run_s)
            task.outcome = part

    def _run_alone(self, signature: str, task: Task) -> None:
        started = time.monotonic()
        if task.late(started):
            task.error = DeadlineExceeded(_LATE)
            return
        try:
            task.outcome = self._model.run(signature, task.inputs, task.outputs, task.deadline)
        except Exception as error:  # told to the thread that brought the request
            task.error = error
            return
        self._count(task.rows, started)
        self._meter.ran(signature, started - task.came, time.monotonic() - started)

    def close(self) -> None:
        """Nothing to stop: it has no threads, and nobody waits any more."""
