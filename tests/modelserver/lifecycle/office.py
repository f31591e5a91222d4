"""Batchers over a Doubler: the default one (Desk), and one as `--enable_batching` makes it (Office)."""

from collections.abc import Mapping
from typing import Any

from serving.modelserver.lifecycle.batching.adaptive import Adaptive
from serving.modelserver.lifecycle.batching.parameters import BatchingOptions, BatchingParameters
from serving.modelserver.lifecycle.batching.scheduled import Scheduled
from serving.modelserver.lifecycle.batching.scheduler import Scheduler
from serving.modelserver.lifecycle.versions import Batcher
from serving.modelserver.metrics import Metrics
from tests.modelserver.lifecycle.callers import Asking, Gate, ask
from tests.modelserver.lifecycle.doubler import Array, Doubler, rows
from tests.waiting import until


class Queueing:
    """A batcher, and how many requests it says to have."""

    batcher: Batcher
    metrics: Metrics

    def waiting(self) -> float:
        """Requests that wait; of a Scheduled also those that run."""
        labels = {"model": "m", "version": "1"}
        return self.metrics.registry.get_sample_value("modelserver_queue_depth", labels) or 0.0

    def queue(self, x: Array, **more: Any) -> Asking:
        """Have one request wait."""
        before = self.waiting()
        asking = Asking(self.batcher, x, **more)
        until(lambda: self.waiting() > before)
        return asking


class Desk(Queueing):
    """An Adaptive over a Doubler whose runs stop at a gate."""

    def __init__(self, *, parallel: int = 1, max_rows: int = 8, max_waiting: int = 256) -> None:
        self.gate, self.metrics = Gate(), Metrics()
        self.model = Doubler(parallel=parallel, before_run=self.gate)
        options = BatchingOptions(max_rows=max_rows, max_waiting=max_waiting)
        self.batcher = Adaptive(self.model, options, self.metrics.meter("m", 1))

    def occupy(self) -> list[Asking]:
        """Have every place taken by a run that stops at the gate."""
        running = [ask(self.batcher, 100) for _ in range(self.model.parallel)]
        for _ in running:
            self.gate.await_run()
        return running

    def line_up(self, *requests: tuple[float, ...], **more: Any) -> list[Asking]:
        """Have these requests wait, in this order."""
        return [self.queue(rows(*values), **more) for values in requests]

    def shapes(self) -> list[int]:
        """Rows of each run after those that occupy."""
        return [shape[0] for shape in self.model.runs[self.model.parallel :]]


class Office(Queueing):
    """A Scheduled over a Doubler, with a scheduler of its own."""

    def __init__(self, before_run: Any = lambda _: None, threads: int = 1, **parameters: Any) -> None:
        self.metrics = Metrics()
        self.model = Doubler(before_run=before_run)
        self.scheduler = Scheduler(threads, "test-batch")
        given = BatchingParameters(num_batch_threads=threads, **parameters)
        self.batcher = Scheduled(self.model, given, self.scheduler, self.metrics.meter("m", 1), self.metrics)

    def ask(self, inputs: Mapping[str, Any], signature: str = "serving_default") -> dict[str, Any]:
        return self.batcher.run(signature, inputs, None, None)
