"""Warm-up: the requests that a version brings along, run before anybody may ask it anything.

The logs go to the callables that the doors' calls/ hand in (`WarmupOptions.replays`), since what they check
lies above this room.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from serving.errors import BadInput, Code, DataLoss, ServingError, Unimplemented
from serving.modelserver.lifecycle import tfrecord
from serving.modelserver.lifecycle.batching.merge import rows_of
from serving.modelserver.metrics import Metrics
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, LoadedModel
from serving.repository import WARMUP_FILE
from serving.wire.protos import PredictionLog
from serving.wire.tensors import from_protos

MOST_RECORDS = 1000

Replay = Callable[[PredictionLog, LoadedModel], None]
"""Runs one log on a model and throws the answer away; raises what a request would raise."""


def _run_in_sizes(log: PredictionLog, model: LoadedModel, sizes: Sequence[int]) -> None:
    """Run one row of a record in batches of these sizes: the first of each size is slow, and nobody should wait."""
    request = log.predict_log.request
    signature = model.signatures[request.model_spec.signature_name or DEFAULT_SIGNATURE]
    inputs = {**signature.defaults, **from_protos(request.inputs)}
    if not signature.has_rows or not rows_of(inputs):
        return
    for size in sizes:
        with contextlib.suppress(ServingError):  # the record itself went well; such batches will run one by one
            batch = {alias: np.repeat(rows[:1], size, axis=0) for alias, rows in inputs.items()}
            model.run(signature.name, batch, list(request.output_filter) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupOptions:
    """Whether and how to warm up."""

    enabled: bool = True
    iterations: int = 1
    """Times that each record is run; 0 counts as 1."""
    replays: Mapping[str, Replay] = field(default_factory=dict)
    """Kind of log (`predict_log`, `classify_log`, `regress_log`, `multi_inference_log`) to what replays it."""


def warm_up(
    folder: Path, model: LoadedModel, options: WarmupOptions, metrics: Metrics, sizes: Sequence[int] = ()
) -> int:
    """Replay the records of a version's folder; returns how many there were.

    Args:
        folder: of the version.
        model: loaded from it.
        options: whether, and how often.
        metrics: where it is counted; not as requests.
        sizes: rows of batches to run as well, with the first predict log.

    Raises:
        DataLoss: the file is damaged or no TFRecord file.
        BadInput: too many records, or one that is no PredictionLog.
        Unimplemented: a kind of log that cannot be replayed.
        ServingError: what a replayed request raised.
    """
    path = folder / WARMUP_FILE
    if not options.enabled or not path.is_file():
        return 0
    started, status = time.perf_counter(), Code.INTERNAL
    try:
        count = _replay_all(path, model, options, sizes)
        status = Code.OK
        metrics.warmup_records.of(str(folder), status.name).inc(count)
        return count
    except ServingError as error:
        status = error.code
        raise
    finally:
        micros = (time.perf_counter() - started) * 1e6
        metrics.warmup_latency.of(str(folder), status.name).observe(micros)


def _replay_all(path: Path, model: LoadedModel, options: WarmupOptions, sizes: Sequence[int]) -> int:
    count = 0
    for log in _logs(path):
        count += 1
        if count > MOST_RECORDS:
            raise BadInput(f"Number of warmup records exceeds the maximum ({MOST_RECORDS}) at {path}")
        kind = log.WhichOneof("log_type")
        if kind not in options.replays:
            raise Unimplemented(f"Unsupported log_type for warmup: {kind or 'none'}")
        for _ in range(max(1, options.iterations)):
            options.replays[kind](log, model)
        if kind == "predict_log" and sizes:
            _run_in_sizes(log, model, sizes)
            sizes = ()
    return count


def _logs(path: Path) -> Iterator[PredictionLog]:
    try:
        for number, record in enumerate(tfrecord.read(path)):
            try:
                yield PredictionLog.FromString(record)
            except DecodeError as error:
                raise BadInput(f"Failed to parse warmup record: {number} from {path}") from error
    except (DataLoss, OSError) as error:
        raise DataLoss(f"{error}. Please verify your warmup data is in TFRecord format.") from error
