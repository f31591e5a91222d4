"""Batching as `--enable_batching` specifies it, for one version of a model.

Requests with the same inputs and outputs are put together by scheduler.py's threads, padded as the
parameters say, and run. A failure is that of the whole batch.

Source: tensorflow_serving/batching/batching_session.cc (rules, order of checks, texts).
"""

import copy
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput, DeadlineExceeded, FailedPrecondition, Overloaded, ServingError
from serving.modelserver.lifecycle.batching.merge import check_rows, join, latest, pad_rows, pad_widths, split
from serving.modelserver.lifecycle.batching.parameters import BatchingParameters
from serving.modelserver.lifecycle.batching.scheduler import Scheduler
from serving.modelserver.metrics import Metrics, VersionMeter
from serving.modelserver.runtimes.protocol import LoadedModel, Tensors

Answer = dict[str, NDArray[Any]]

_LATE_IN_QUEUE = "Run() timeout exceeded while waiting in batching queue"


class Request:
    """One request, whole or in pieces."""

    def __init__(self, inputs: Tensors, deadline: float | None) -> None:
        self.inputs, self.deadline = inputs, deadline
        self.came = time.monotonic()
        self.pieces: list[Part] = []
        self.queue_s = self.run_s = 0.0
        self.taken = False
        """Whether a run has begun for any of it."""
        self.given_up = False
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._left = 0
        self._done = threading.Event()

    def cut(self, sizes: Sequence[int]) -> Sequence["Part"]:
        """Its pieces, of these sizes."""
        ends = np.cumsum(sizes).tolist()
        self.pieces = [Part(self, end - size, end, whole=len(ends) == 1) for end, size in zip(ends, sizes, strict=True)]
        self._left = len(self.pieces)
        return self.pieces

    def late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and now >= self.deadline

    def piece_done(self, error: Exception | None = None) -> None:
        """One piece has its answer, or this error."""
        with self._lock:
            self.error = self.error or error
            self._left -= 1
            last = not self._left
        if last or error is not None:
            self._done.set()

    def wait(self) -> None:
        """Until all pieces are done or one has failed.

        Raises:
            Overloaded: the deadline passed in the queue.
            DeadlineExceeded: it passed during the run.
        """
        timeout = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        if self._done.wait(timeout):
            return
        self.given_up = True
        if self.taken:
            raise DeadlineExceeded("the deadline of the request passed during its run")
        raise Overloaded(_LATE_IN_QUEUE)


class Part:
    """Rows of a request that run together, and their answer."""

    def __init__(self, request: Request, start: int, end: int, *, whole: bool) -> None:
        self.request = request
        self.rows = end - start
        self.inputs = request.inputs if whole else {name: rows[start:end] for name, rows in request.inputs.items()}
        self.answer: Answer = {}


class Scheduled:
    """The batcher of one version, where the server was told to batch."""

    def __init__(
        self,
        model: LoadedModel,
        parameters: BatchingParameters,
        scheduler: Scheduler,
        meter: VersionMeter,
        metrics: Metrics,
    ) -> None:
        """Raises BadInput if the parameters do not fit each other, which ends the load."""
        parameters.check_for_load()
        self._model, self._parameters, self._scheduler = model, parameters, scheduler
        self._meter, self._metrics = meter, metrics
        self._queuing = metrics.queuing_latency.of(parameters.thread_pool_name)

    def run(self, signature: str, inputs: Tensors, outputs: Collection[str] | None, deadline: float | None) -> Answer:
        """Wait for a batch to have run with this request's rows in it."""
        self._metrics.wrapped_runs.of().inc()
        rows = _checked_rows(inputs)
        self._metrics.input_batch_size.of().observe(rows)
        fetched = tuple(sorted(outputs if outputs is not None else self._model.signatures[signature].outputs))
        fed = tuple(sorted((alias, array.dtype.name) for alias, array in inputs.items()))
        request = Request(inputs, deadline)
        kind = (self, signature, fed, fetched)
        process = partial(self._process, signature, fetched)
        self._scheduler.submit(kind, self._parameters, process, rows, request.cut)
        self._meter.depth.inc()
        try:
            request.wait()
        finally:
            self._meter.depth.dec()
        if request.error is not None:
            raise _own_copy(request.error)
        self._meter.ran(signature, request.queue_s, request.run_s)
        return _whole([piece.answer for piece in request.pieces])

    def _process(self, signature: str, outputs: Sequence[str], pieces: Sequence[Part]) -> None:
        """Run one batch and answer every piece of it, whatever happens."""
        started = time.monotonic()
        pieces = [piece for piece in pieces if not piece.request.given_up]
        for piece in pieces:
            self._queuing.observe((started - piece.request.came) * 1e6)
            piece.request.queue_s = started - piece.request.came
            piece.request.taken = True
        try:
            if pieces and all(piece.request.late(started) for piece in pieces):
                raise Overloaded(_LATE_IN_QUEUE)
            if pieces:
                self._run(signature, outputs, pieces)
        except Exception as error:  # told to every thread that brought a piece
            for piece in pieces:
                piece.request.piece_done(error)
            return
        run_s = time.monotonic() - started
        for piece in pieces:
            piece.request.run_s += run_s
            piece.request.piece_done()

    def _run(self, signature: str, outputs: Sequence[str], pieces: Sequence[Part]) -> None:
        sizes = [piece.rows for piece in pieces]
        inputs = self._padded(signature, [piece.inputs for piece in pieces])
        rows = self._rows_to_run(sum(sizes))
        deadline = latest(piece.request.deadline for piece in pieces)
        answer = self._model.run(signature, pad_rows(join(inputs), rows), outputs, deadline)
        check_rows(answer, rows)
        for piece, part in zip(pieces, split(answer, sizes), strict=True):
            piece.answer = part
        self._meter.batch(rows)
        self._metrics.processed_batch_size.of().observe(rows)
        self._metrics.padding_size.of(str(rows)).observe(rows - sum(sizes))

    def _rows_to_run(self, rows: int) -> int:
        return next((size for size in self._parameters.allowed_batch_sizes if size >= rows > 0), rows)

    def _padded(self, signature: str, requests: Sequence[Tensors]) -> Sequence[Tensors]:
        if self._parameters.pad_variable_length_inputs:
            return pad_widths(requests)
        for alias, first in requests[0].items():
            if any(request[alias].shape[1:] != first.shape[1:] for request in requests):
                raise FailedPrecondition(
                    f"Tensors with name '{self._model.signatures[signature].inputs[alias].name}' from different tasks "
                    "have different shapes and padding is turned off. Set pad_variable_length_inputs to true, or "
                    "ensure that all tensors with the same name have equal dimensions starting with the first dim."
                )
        return requests

    def close(self) -> None:
        """Nothing of its own to stop; the threads belong to all models."""


def _checked_rows(inputs: Tensors) -> int:
    if not inputs:
        raise BadInput("Batching Run() must have at least one input tensor")
    rows = None
    for array in inputs.values():
        if not array.ndim:
            raise BadInput("Batching Run() input tensors must have at least one dimension")
        if rows not in (None, array.shape[0]):
            raise BadInput("Batching Run() input tensors must have equal 0th-dimension size")
        rows = array.shape[0]
    return rows or 0


def _whole(answers: Sequence[Mapping[str, NDArray[Any]]]) -> Answer:
    if len(answers) == 1:
        return dict(answers[0])
    return {alias: np.concatenate([answer[alias] for answer in answers]) for alias in answers[0]}


def _own_copy(error: Exception) -> Exception:
    """Several threads raise the failure of one batch, each its own."""
    return copy.copy(error) if isinstance(error, ServingError) else ServingError(f"{type(error).__name__}: {error}")
