"""One request on its way through the server: until when it counts, what it ran, how it ended.

Every door makes a Call, the calls run versions through it, and when it is over its figures go to
metrics.py: to the original's counters for the original's doors, to our own for all.
"""

from collections.abc import Callable, Collection
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any, Literal

from numpy.typing import NDArray

from serving.errors import Code, ServingError
from serving.modelserver.lifecycle.versions import ServedVersion
from serving.modelserver.metrics import Metrics
from serving.modelserver.runtimes.protocol import Tensors

Run = Callable[[str, Tensors, Collection[str] | None], dict[str, NDArray[Any]]]
"""Signature, inputs, names of outputs or None for all: how the calls run a model."""

Door = Literal["GRPC", "REST", ""]
"""Whose counters: the original's gRPC or REST, or, for the empty one, only our own."""


class Call:
    """Use as a context manager around the work; it counts when the block ends, and lets errors pass."""

    __slots__ = (
        "api",
        "code",
        "deadline",
        "door",
        "latency_api",
        "metrics",
        "model",
        "signature",
        "started",
        "version",
    )

    def __init__(
        self,
        metrics: Metrics,
        api: str,
        deadline: float | None = None,
        *,
        door: Door = "",
        model: str = "",
        latency_api: str | None = None,
    ) -> None:
        """Begin.

        Args:
            metrics: where it is counted.
            api: `Predict`, `Classify`, ... ; empty for what runs no model.
            deadline: in time.monotonic() seconds.
            door: whose counters.
            model: the name asked for; may be set later, when it has been read.
            latency_api: the original's name in its latencies, where it is not `api`.
        """
        self.metrics, self.api, self.deadline, self.door, self.model = metrics, api, deadline, door, model
        self.latency_api = api if latency_api is None else latency_api
        self.version: int | None = None
        self.signature = ""
        self.code = Code.OK
        self.started = perf_counter()

    def runs(self, served: ServedVersion) -> Run:
        """How this request runs a version that it holds."""
        return partial(self._run, served)

    def _run(
        self, served: ServedVersion, signature: str, inputs: Tensors, outputs: Collection[str] | None
    ) -> dict[str, NDArray[Any]]:
        """Run a version, in time, and remember that it was this one."""
        self.version, self.signature = served.version, signature
        started = perf_counter()
        try:
            return served.run(signature, inputs, outputs, deadline=self.deadline)
        finally:
            self.metrics.time_runtime(served.name, self.api, perf_counter() - started)

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.code = error.code if isinstance(error, ServingError) else Code.INTERNAL
        seconds = perf_counter() - self.started
        if self.door:
            self.metrics.count_request(self.model, self.code.name)
            if self.code is Code.OK:
                self.metrics.time_request(self.model, self.latency_api, self.door, seconds)
        if self.api:
            known = self.model if self.version is not None else ""
            self.metrics.answered(known, self.version, self.signature, self.code.name, seconds)
