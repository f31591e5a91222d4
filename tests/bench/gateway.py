"""What the gateway costs beside the bare work, and beside a plain Flask server around TensorFlow.

    python -m tests.bench.gateway --photos FOLDER --reviews aclImdb_v1.tar.gz

All in one run, in turns: decode, resize and compiled model in a tight loop; `python -m serving` under HTTP
connections with the same photos; the server of plain_server.py; reviews one a request and 32 a request.
CPU is that of the measured process alone, so the load generator on the same cores costs only requests/s.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from tests.bench import bodies
from tests.bench.asks import calling, posting
from tests.bench.load import closed_loop
from tests.bench.loops import Loop
from tests.bench.models import PLAIN_READY, made, newest
from tests.bench.rounds import Check, Measure, Rounds, alternate, machine, save, verdicts
from tests.bench.servers import gateway, modelserver
from tests.processes import exit_when_told, following, slipway

LOOP, LOOP_BOTH, GATEWAY, PLAIN = "loop, 1 thread", "loop, 2 threads", "gateway, photos", "Flask + TensorFlow, photos"
REVIEWS, REVIEWS_32 = "gateway, 1 review a request", "gateway, 32 reviews a request"
TOGETHER = 32


@click.command()
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="Folder of JPEG files; else drawn ones.")
@click.option("--reviews", type=click.Path(exists=True, path_type=Path), help="aclImdb_v1.tar.gz; else drawn ones.")
@click.option("--rounds", default=7, show_default=True, help="Turns of every measure.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each turn.")
@click.option("--connections", default=8, show_default=True, help="Callers at once.")
@click.option("--starts", default=5, show_default=True, help="Starts to take the median of.")
@click.option("--tensorflow/--no-tensorflow", default=True, show_default=True, help="Measure the plain server too.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(
    photos: Path | None,
    reviews: Path | None,
    rounds: int,
    seconds: float,
    connections: int,
    starts: int,
    tensorflow: bool,
    out: Path,
) -> None:
    """Measure, print the tables, keep the raw figures."""
    exit_when_told()
    console = Console(width=150)
    models = made(out / "models")
    files, texts = bodies.photos(photos), bodies.reviews(reviews)
    with measures(models, files, texts, seconds, connections, tensorflow) as found:
        result = alternate(found, rounds)
    start = alone(models, starts)
    console.print(result.table(machine(), ("cpu_ms", "per_second", "p50_ms", "p99_ms", "failed")))
    console.print(verdicts(checks(result, start, tensorflow)))
    sent = {"photos": len(files), "reviews": len(texts), "given": [str(photos), str(reviews)]}
    save(out, "gateway", {"sent": sent, "rounds": result.figures, "start": start})


@contextmanager
def measures(
    models: Path, files: Sequence[bytes], texts: list[bytes], seconds: float, connections: int, tensorflow: bool
) -> Iterator[Mapping[str, Measure]]:
    """All processes loaded and warm; each measure wakes one of them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number, data in enumerate(files):
            (folder / f"{number}.jpg").write_bytes(data)
        bare = stack.enter_context(Loop("photos", newest(models, "pictures"), folder))
        server = stack.enter_context(slipway(models))
        posts = partial(posted, server.process.pid, connections, seconds)
        classify = "/v1/models/{}/classify".format
        together = bodies.as_instances(texts, TOGETHER)
        text, json = "text/plain; charset=utf-8", "application/json"
        found: dict[str, Measure] = {
            LOOP: partial(bare.spell, seconds, 1),
            LOOP_BOTH: partial(bare.spell, seconds, 2),
            GATEWAY: partial(posts, server.gateway, classify("pictures"), "image/jpeg", files),
            REVIEWS: partial(posts, server.gateway, classify("reviews"), text, texts),
            REVIEWS_32: partial(posts, server.gateway, classify("reviews"), json, together, items=TOGETHER),
        }
        if tensorflow:
            command = [sys.executable, "-m", "tests.bench.plain_server", str(newest(models, "pictures"))]
            quiet = subprocess.DEVNULL
            process, lines = stack.enter_context(following(command, PLAIN_READY, stderr=quiet))
            address = lines[-1].removeprefix(PLAIN_READY)
            found[PLAIN] = partial(posted, process.pid, connections, seconds, address, "/classify", "image/jpeg", files)
        yield found


def posted(
    pid: int,
    connections: int,
    seconds: float,
    address: str,
    path: str,
    kind: str,
    sent: Sequence[bytes],
    *,
    items: int = 1,
) -> Mapping[str, float]:
    """A spell of POSTs by so many connections; figures are for one of `items`."""
    with calling(posting(address, path, kind, sent, connections)) as callers:
        row = closed_loop(callers, pid, seconds, warmup_s=0.7).row()
    return {**row, "cpu_ms": row["cpu_ms"] / items, "per_second": row["per_second"] * items}


def alone(models: Path, starts: int) -> dict[str, list[float]]:
    """Seconds to ready and megabytes of a gateway in front of a model server elsewhere."""
    found: dict[str, list[float]] = {"ready_s": [], "resident_mb": [], "resident_after_load_mb": []}
    files = bodies.photos(None)
    with modelserver(models, ("pictures",)) as upstream:
        for _ in range(starts):
            with gateway(upstream.grpc) as server:
                found["ready_s"].append(server.ready_s)
                found["resident_mb"].append(server.resident_mb)
                posted(server.pid, 8, 2.0, server.gateway, "/v1/models/pictures/classify", "image/jpeg", files)
                found["resident_after_load_mb"].append(server.resident_mb)
    return found


def checks(result: Rounds, start: Mapping[str, Sequence[float]], tensorflow: bool) -> list[Check]:
    """What the figures come to."""
    cpu = "cpu_ms"
    found: list[Check] = [
        ("gateway CPU / bare work (loop on one thread)", result.ratio((GATEWAY, cpu), (LOOP, cpu)), "<=", 1.25),
        ("gateway CPU / bare work (loop on both cores)", result.ratio((GATEWAY, cpu), (LOOP_BOTH, cpu)), "<=", 1.25),
        ("reviews/s, 1 a request", result.median(REVIEWS, "per_second"), ">=", 1200),
        ("reviews/s, 32 a request", result.median(REVIEWS_32, "per_second"), ">=", 1200),
        ("gateway alone: seconds to ready", statistics.median(start["ready_s"]), "<=", 1.0),
        ("gateway alone: resident MB", statistics.median(start["resident_mb"]), "<=", 120),
        ("gateway alone: resident MB after load", statistics.median(start["resident_after_load_mb"]), "<=", 120),
    ]
    if tensorflow:
        wanted = 3.0 if "no bfloat16" in machine() else 4.0
        found.append(("Flask + TensorFlow CPU / gateway CPU", result.ratio((PLAIN, cpu), (GATEWAY, cpu)), ">=", wanted))
    return found


if __name__ == "__main__":
    main()
