"""A batcher as `--enable_batching` makes it, over a Doubler."""

from collections.abc import Mapping
from typing import Any

from serving.modelserver.lifecycle.batching.parameters import BatchingParameters
from serving.modelserver.lifecycle.batching.scheduled import Scheduled
from serving.modelserver.lifecycle.batching.scheduler import Scheduler
from serving.modelserver.metrics import Metrics
from tests.modelserver.lifecycle.callers import Asking, ask
from tests.modelserver.lifecycle.doubler import Doubler
from tests.waiting import until


class Office:
    """A Scheduled over a Doubler, with a scheduler of its own."""

    def __init__(self, before_run: Any = lambda _: None, threads: int = 1, **parameters: Any) -> None:
        self.metrics = Metrics()
        self.model = Doubler(before_run=before_run)
        self.scheduler = Scheduler(threads, "test-batch")
        given = BatchingParameters(num_batch_threads=threads, **parameters)
        self.batcher = Scheduled(self.model, given, self.scheduler, self.metrics.meter("m", 1), self.metrics)

    def waiting(self) -> float:
        labels = {"model": "m", "version": "1"}
        return self.metrics.registry.get_sample_value("modelserver_queue_depth", labels) or 0.0

    def queue(self, *values: float, **more: Any) -> Asking:
        """Have one request wait or run."""
        before = self.waiting()
        asking = ask(self.batcher, *values, **more)
        until(lambda: self.waiting() > before)
        return asking

    def ask(self, inputs: Mapping[str, Any], signature: str = "serving_default") -> dict[str, Any]:
        return self.batcher.run(signature, inputs, None, None)
