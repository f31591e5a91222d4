"""What the model server costs beside the compiled model itself, and beside the TensorFlow runtime.

    python -m tests.bench.modelserver            # about four minutes; --rounds and --seconds make it shorter

All in one run, in turns: MobileNetV2 at 160 px compiled by OpenVINO and called in a tight loop, our server
under gRPC connections, a server whose model computes nothing, one client alone with adaptive batching and
without, the SavedModel in TensorFlow at several batch sizes. CPU is that of the measured process alone.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.asks import GrpcAsk, calling
from tests.bench.load import closed_loop
from tests.bench.loops import Loop
from tests.bench.models import CLASSIFIERS, INT8, SIDE, made, newest
from tests.bench.rounds import Check, Measure, Rounds, alternate, machine, save, verdicts
from tests.bench.servers import Server, modelserver
from tests.processes import exit_when_told

BATCHES = (1, 8, 32, 64)
MODEL = "pictures"
BATCHED, PLAIN, LONE, LONE_PLAIN = "server, 8 callers", "without batching", "lone caller", "lone, without batching"
NOTHING, LOOP_NOTHING, LOOP, LOOP_BOTH = "server, no-op model", "loop, no-op model", "loop, 1 thread", "loop, 2 threads"
BATCHED_INT8, LOOP_INT8 = "server, int8, 8 callers", "loop, int8, 1 thread"


@click.command()
@click.option("--models", type=click.Path(path_type=Path), help="Folder of models for start and memory.")
@click.option("--rounds", default=7, show_default=True, help="Turns of every measure.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each turn.")
@click.option("--connections", default=8, show_default=True, help="Callers at once.")
@click.option("--starts", default=5, show_default=True, help="Starts to take the median of.")
@click.option("--tensorflow/--no-tensorflow", default=True, show_default=True, help="Measure TensorFlow too.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(
    models: Path | None, rounds: int, seconds: float, connections: int, starts: int, tensorflow: bool, out: Path
) -> None:
    """Measure, print the tables, keep the raw figures."""
    exit_when_told()
    console = Console(width=150)
    own = made(out / "models")
    with measures(own, seconds, connections, BATCHES if tensorflow else ()) as found:
        result = alternate(found, rounds)
    start = start_up(
        models or own, tuple(sorted(path.name for path in models.iterdir())) if models else CLASSIFIERS, starts
    )
    console.print(result.table(machine(), ("cpu_ms", "per_second", "p50_ms", "p99_ms", "failed")))
    console.print(_start_table(start))
    console.print(verdicts(checks(result, start, tensorflow)))
    save(out, "modelserver", {"rounds": result.figures, "start": start})


@contextmanager
def measures(models: Path, seconds: float, connections: int, batches: Sequence[int]) -> Iterator[Mapping[str, Measure]]:
    """All processes loaded and warm; each measure wakes one of them."""
    with ExitStack() as stack:
        bare = stack.enter_context(Loop("openvino", newest(models, MODEL)))
        int8 = stack.enter_context(Loop("openvino", newest(models, INT8)))
        nothing = stack.enter_context(Loop("openvino", newest(models, "nothing")))
        batched = stack.enter_context(modelserver(models, (MODEL, INT8, "nothing")))
        plain = stack.enter_context(modelserver(models, (MODEL,), "--adaptive_batching=false"))
        found: dict[str, Measure] = {
            LOOP: partial(bare.spell, seconds, 1),
            LOOP_BOTH: partial(bare.spell, seconds, 2),
            BATCHED: partial(loaded, batched, MODEL, connections, seconds),
            PLAIN: partial(loaded, plain, MODEL, connections, seconds),
            LOOP_INT8: partial(int8.spell, seconds, 1),
            BATCHED_INT8: partial(loaded, batched, INT8, connections, seconds),
            LOOP_NOTHING: partial(nothing.spell, seconds, 2),
            NOTHING: partial(loaded, batched, "nothing", connections, seconds),
            LONE: partial(loaded, batched, MODEL, 1, seconds),
            LONE_PLAIN: partial(loaded, plain, MODEL, 1, seconds),
        }
        if batches:
            tensorflow = stack.enter_context(Loop("tensorflow", newest(models, MODEL)))
            found |= {f"TensorFlow, batch {size}": partial(tensorflow.spell, seconds, size) for size in batches}
        yield found


def loaded(server: Server, model: str, connections: int, seconds: float) -> Mapping[str, float]:
    """A spell of gRPC Predict with single pictures."""
    pictures = np.random.default_rng(2).integers(0, 256, (8, 1, SIDE, SIDE, 3), np.uint8)
    with calling([GrpcAsk(server.grpc, model, list(pictures)) for _ in range(connections)]) as callers:
        return closed_loop(callers, server.pid, seconds, warmup_s=0.7).row()


def start_up(models: Path, names: Sequence[str], starts: int) -> dict[str, list[float]]:
    """Seconds to ready and megabytes, of a server with all these models that does not know TensorFlow."""
    found: dict[str, list[float]] = {"ready_s": [], "resident_mb": [], "resident_after_load_mb": []}
    picture = next((name for name in names if name in {MODEL, "cats_vs_dogs_mobilenet"}), None)
    for _ in range(starts):
        with modelserver(models, names, "--runtime=openvino") as server:
            found["ready_s"].append(server.ready_s)
            found["resident_mb"].append(server.resident_mb)
            if picture is not None:
                loaded(server, picture, 8, 2.0)
                found["resident_after_load_mb"].append(server.resident_mb)
    return found


def _start_table(start: Mapping[str, Sequence[float]]) -> Table:
    table = Table("start", "median", "lowest", "highest", title="three models, TensorFlow not in use")
    for name, values in start.items():
        if values:
            table.add_row(name, *(f"{value:.4g}" for value in (statistics.median(values), min(values), max(values))))
    return table


def checks(result: Rounds, start: Mapping[str, Sequence[float]], tensorflow: bool) -> list[Check]:
    """What the figures come to."""
    cpu = "cpu_ms"
    outside = result.median(NOTHING, cpu) - result.median(LOOP_NOTHING, cpu)
    found: list[Check] = [
        ("server CPU / loop CPU (loop on one thread)", result.ratio((BATCHED, cpu), (LOOP, cpu)), "<=", 1.25),
        ("server CPU / loop CPU (loop on both cores)", result.ratio((BATCHED, cpu), (LOOP_BOTH, cpu)), "<=", 1.25),
        ("int8: server CPU / loop CPU", result.ratio((BATCHED_INT8, cpu), (LOOP_INT8, cpu)), "<=", 1.25),
        ("CPU ms outside the runtime (no-op model)", outside, "<=", 0.45),
        ("lone p50 with batching / without", result.ratio((LONE, "p50_ms"), (LONE_PLAIN, "p50_ms")), "<=", 1.05),
        ("seconds to ready, 3 models", statistics.median(start["ready_s"]), "<=", 2.5),
        ("resident MB, 3 models", statistics.median(start["resident_mb"]), "<=", 250),
    ]
    if start["resident_after_load_mb"]:
        found.append(("resident MB after load", statistics.median(start["resident_after_load_mb"]), "<=", 250))
    if tensorflow:
        best = min((f"TensorFlow, batch {size}" for size in BATCHES), key=lambda what: result.median(what, cpu))
        found.append((f"{best} / server CPU", result.ratio((best, cpu), (BATCHED, cpu)), ">=", 3.0))
        found.append((f"{best} / server CPU, int8", result.ratio((best, cpu), (BATCHED_INT8, cpu)), ">=", 3.0))
        found.append((f"{best} / loop CPU", result.ratio((best, cpu), (LOOP, cpu)), ">=", 3.0))
    return found


if __name__ == "__main__":
    main()
