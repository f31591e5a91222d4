"""Latency against offered rate, up to and beyond saturation, measured by an open loop.

    python -m tests.bench.latency                      # starts a server of its own
    python -m tests.bench.latency --url HOST:PORT --model NAME --photos FOLDER

Saturation is found first by a closed loop. The latencies count from when a request was due, and
what was refused is counted beside them: a server that sheds keeps its latency and loses requests.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import bodies, pictures
from tests.bench.asks import Caller, calling, posting
from tests.bench.load import closed_spell
from tests.bench.models import made
from tests.bench.open_loop import CONNECTIONS, open_loop
from tests.bench.rounds import machine, save
from tests.processes import exit_when_told, slipway

SHARES = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3, 1.6)
GENERATOR_LIMIT = 0.85


@click.command()
@click.option("--url", help="HOST:PORT of a gateway that runs; else one is started with the benchmark's models.")
@click.option("--model", default="pictures", show_default=True, help="Which of its image models.")
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="Folder of JPEG files; else drawn ones.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of the spell at each rate.")
@click.option("--connections", default=CONNECTIONS, show_default=True, help="Requests under way at most.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Results.")
def main(url: str | None, model: str, photos: Path | None, seconds: float, connections: int, out: Path) -> None:
    """Measure the curve; print it, draw it, keep it."""
    exit_when_told()
    console = Console(stderr=True)
    with running(url, out) as address:
        path = f"/v1/models/{model}/classify"
        with calling(posting(address, path, "image/jpeg", bodies.photos(photos), connections)) as callers:
            limit, rows = curve(callers, seconds, console)
    console.print(table(limit, rows))
    lines = {
        name: [(row["offered_per_second"], row[key]) for row in rows if math.isfinite(row[key])]
        for name, key in (("p50", "p50_ms"), ("p90", "p90_ms"), ("p99", "p99_ms"))
    }
    title = f"Photos over HTTP, {machine()}"
    pictures.save(pictures.curves(lines, title, "offered requests/s", "ms from when due", limit), out, "latency")
    save(out, "latency", {"saturation_per_second": limit, "rows": rows, "seconds": seconds, "model": model})
    console.print(f"{out}/latency.svg, .png and .json")


@contextmanager
def running(url: str | None, out: Path) -> Iterator[str]:
    """The address of the server to ask."""
    if url:
        yield url
        return
    with slipway(made(out / "models"), "--no-access-log") as server:
        yield server.gateway


def curve(callers: Sequence[Caller], seconds: float, console: Console) -> tuple[float, list[dict[str, Any]]]:
    """Saturation by a closed loop of eight, then every share of it, offered by an open loop."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("saturation, closed loop", total=len(SHARES) + 1)
        closed_spell(callers[:8], 1.0)
        found = closed_spell(callers[:8], seconds)
        limit = found.per_second
        progress.advance(task)
        rows = []
        for number, share in enumerate(SHARES):
            progress.update(task, description=f"{share:.0%} of {limit:.0f}/s")
            row = open_loop(callers, share * limit, seconds, seed=number).row()
            rows.append({"share": share, **row})
            progress.advance(task)
    return limit, rows


def table(limit: float, rows: Sequence[dict[str, Any]]) -> Table:
    """Every rate with what came of it."""
    shown = Table(
        "offered/s",
        "answered/s",
        "refused",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "generator",
        title=f"{machine()}, {limit:.0f}/s",
    )
    for row in rows:
        numbers = (row["offered_per_second"], row["answered_per_second"], row["failed"])
        latencies = (row["p50_ms"], row["p90_ms"], row["p99_ms"])
        flag = " (bottleneck)" if row["generator_cpu"] > GENERATOR_LIMIT else ""
        cpu = f"{row['generator_cpu']:.0%}{flag}, late {row['late']:.1%}"
        shown.add_row(*(f"{value:.4g}" for value in (*numbers, *latencies)), cpu)
    return shown


if __name__ == "__main__":
    main()
