"""How runs are put together: our own adaptive way, or TensorFlow Serving's parameters.

A text file of the latter is read here when it lies in a version's folder; the server-wide one is
read by the doors, with the same `from_proto`.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from google.protobuf import text_format

from serving.errors import BadInput
from serving.wire.protos import BatchingParameters as BatchingProto

PER_MODEL_FILE = "batching_params.pbtxt"

_LEAST = {"max_batch_size": 1, "num_batch_threads": 1, "batch_timeout_micros": 0, "max_enqueued_batches": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingParameters:
    """The fields of tensorflow.serving.BatchingParameters, with their defaults filled in."""

    max_batch_size: int = 1000
    """Most rows in a batch, and in one request."""
    batch_timeout_micros: int = 0
    """How long a batch that is not full waits for more; 0: not at all."""
    max_enqueued_batches: int = 10
    """Batches that wait, for each queue."""
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Batches that run at a time, over all models."""
    thread_pool_name: str = "model_server_batch_threads"
    """A label of the metrics."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """Batches are padded up to the next of these; empty: no padding."""
    pad_variable_length_inputs: bool = False
    """Pad the other dimensions to the largest in the batch."""
    enable_large_batch_splitting: bool = False
    """Let a request be spread over several batches."""
    max_execution_batch_size: int | None = None
    """With splitting: most rows in a batch; None: max_batch_size."""

    def __post_init__(self) -> None:
        """Refuse what could never run a batch."""
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) < least:
                raise BadInput(f"{name} must be {'positive' if least else 'non-negative'}; was {value}")
        if self.max_execution_batch_size is not None and not 0 < self.max_execution_batch_size <= self.max_batch_size:
            raise BadInput(
                f"max_execution_batch_size should be positive and at most max_batch_size {self.max_batch_size}; "
                f"was {self.max_execution_batch_size}"
            )

    @property
    def rows_per_run(self) -> int:
        """Most rows in one run."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    def check_for_load(self) -> None:
        """What the original finds out only when it loads a model with these parameters.

        Raises:
            BadInput: sizes that do not increase, or do not end with the largest batch.
        """
        sizes = self.allowed_batch_sizes
        if not sizes:
            return
        if list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
            raise BadInput(f"allowed_batch_sizes entries must be positive and increasing; got {list(sizes)}")
        if sizes[-1] != self.rows_per_run:
            name = "max_batch_size" if self.rows_per_run == self.max_batch_size else "max_execution_batch_size"
            raise BadInput(
                f"Last entry in allowed_batch_sizes must match {name}; last entry was {sizes[-1]}; "
                f"expected {self.rows_per_run}"
            )

    @classmethod
    def from_proto(cls, message: BatchingProto) -> Self:
        """Take each field that the message sets.

        Raises:
            BadInput: a number that means nothing.
        """
        return cls(**{field.name: _value(field, value) for field, value in message.ListFields()})


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return value.value
    return tuple(value) if field.name == "allowed_batch_sizes" else value


def of_version(folder: Path) -> BatchingParameters | None:
    """The parameters that a version brings along, if it does.

    Raises:
        BadInput: there is a file, and it cannot be understood.
    """
    try:
        text = (folder / PER_MODEL_FILE).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{folder / PER_MODEL_FILE} cannot be read: {error}") from error
    try:
        return BatchingParameters.from_proto(text_format.Parse(text, BatchingProto()))
    except text_format.ParseError as error:
        raise BadInput(f"{folder / PER_MODEL_FILE} is no text-format BatchingParameters: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingOptions:
    """Which way, and its settings."""

    mode: Literal["adaptive", "scheduled", "none"] = "adaptive"
    """adaptive: of models that gain from it, while they are busy. scheduled: as specified for
    `--enable_batching`. none: every request runs alone, at once."""
    max_rows: int = 8
    """adaptive: most rows of requests that are merged; a larger request runs alone."""
    max_waiting: int = 256
    """adaptive: requests that may wait for one version; more are refused at once."""
    parameters: BatchingParameters = field(default_factory=BatchingParameters)
    """scheduled: for all models, unless `per_model`."""
    per_model: bool = False
    """scheduled: parameters come from each version's batching_params.pbtxt; a version without one is not
    batched. Only num_batch_threads and thread_pool_name are taken from `parameters`."""

    def __post_init__(self) -> None:
        """Refuse what could run nothing."""
        if self.max_rows < 1 or self.max_waiting < 0:
            raise BadInput(f"max_rows={self.max_rows} must be at least 1, max_waiting={self.max_waiting} at least 0")

    def up_to(self, rows: int) -> Self:
        """The same, with no more rows in a run than a model gains from."""
        return replace(self, max_rows=min(self.max_rows, rows))

    @property
    def preferred_sizes(self) -> tuple[int, ...]:
        """adaptive: rows of the batches that are made wherever enough requests wait."""
        return tuple(1 << power for power in range(1, self.max_rows.bit_length()))
