"""No batching: every request runs at once in the thread that brought it."""

import time
from collections.abc import Collection
from typing import Any

from numpy.typing import NDArray

from serving.errors import DeadlineExceeded
from serving.modelserver.metrics import VersionMeter
from serving.modelserver.runtimes.protocol import LoadedModel, Tensors


class Alone:
    """The batcher of models that gain nothing from batches."""

    def __init__(self, model: LoadedModel, meter: VersionMeter) -> None:
        self._model, self._meter = model, meter

    def run(
        self, signature: str, inputs: Tensors, outputs: Collection[str] | None, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        """Run, unless the deadline has passed."""
        started = time.monotonic()
        if deadline is not None and started >= deadline:
            raise DeadlineExceeded("the deadline of the request passed before its run")
        answer = self._model.run(signature, inputs, outputs, deadline)
        self._meter.ran(signature, 0.0, time.monotonic() - started)
        return answer

    def close(self) -> None:
        """Nothing to stop."""
