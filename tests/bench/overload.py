"""Five times the load that the back end can take, for a minute, over real sockets.

    python -m tests.bench.overload

A gateway alone stands in front of `fixed_server.py`, which answers 40 a second and leaves the cores free. What
callers see is taken from them, how soon the gateway refuses from its access log, since the callers share the
cores with it.
"""

import asyncio
import io
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from tests.bench.asks import calling, posting
from tests.bench.fixed_server import MODEL, READY
from tests.bench.load import closed_loop, quantile_ms
from tests.bench.rounds import Check, machine, save, verdicts
from tests.bench.strangers import Seen, Strangers
from tests.processes import exit_when_told, following, free_port, resident_bytes

PATH = f"/v1/models/{MODEL}/classify"
CALM = 0.2
"""Of the capacity: the load before and after."""
TIMES = 5.0
SETTLE_S = 2.0
"""After an overload, until all has to be as before."""


@dataclass(slots=True)
class Watched:
    """What was seen of the gateway from outside, once a second."""

    resident_mb: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)


@contextmanager
def gateway(upstream: str) -> Iterator[tuple[int, str, list[str]]]:
    """Its pid, address and the lines of its access log."""
    port = free_port()
    command = [sys.executable, "-m", "serving.gateway", "--port", str(port), "--upstream", upstream, "--models", MODEL]
    with following(command, f":{port}", stderr=subprocess.STDOUT) as (process, lines):
        yield process.pid, f"127.0.0.1:{port}", lines


def picture() -> bytes:
    """A small JPEG file; decoding is not what is measured."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 120, 30)).save(file, "JPEG")
    return file.getvalue()


def capacity(pid: int, address: str, seconds: float) -> float:
    """Answers a second to callers that wait for theirs."""
    with calling(posting(address, PATH, "image/jpeg", [picture()], 4)) as callers:
        return closed_loop(callers, pid, seconds, warmup_s=2.0).per_second


async def play(
    pid: int, address: str, per_second: float, seconds: float, calm_s: float
) -> tuple[dict[str, Sequence[Seen]], Watched]:
    """Calm, overload, calm again."""
    callers, watched = Strangers(address, PATH, "image/jpeg", picture()), Watched()
    watching = asyncio.create_task(_watch(pid, address, watched))
    plan = {"before": (CALM, calm_s), "over": (TIMES, seconds), "after": (CALM, calm_s)}
    seen = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(plan))
        for name, (times, length) in plan.items():
            progress.update(task, description=f"{name}: {times * per_second:.0f}/s for {length:.0f} s")
            if name == "over":
                watched.resident_mb.clear()
                watched.waiting.clear()
            seen[name] = await callers.come(name, times * per_second, length)
            if name == "over":
                watching.cancel()
            progress.advance(task)
    callers.leave()
    return seen, watched


async def _watch(pid: int, address: str, watched: Watched) -> None:
    while True:
        watched.resident_mb.append(resident_bytes(pid) / 1e6)
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://{address}/metrics").read().decode())
        watched.waiting.append(float(page.split("\ngateway_waiting ", 1)[1].split("\n", 1)[0]))
        await asyncio.sleep(1.0)


def took(seen: Sequence[Seen], status: int) -> list[float]:
    """How long those of one status took."""
    return [each.took_s for each in seen if each.status == status]


def refusing_ms(lines: Sequence[str], name: str) -> list[float]:
    """How long the gateway took for each 503 of one phase, from the head of the request on."""
    entries = (json.loads(line) for line in list(lines) if line.startswith("{"))
    return [
        entry["ms"]["total"] for entry in entries if entry["status"] == 503 and entry["request_id"].startswith(name)
    ]


def checks(
    seen: dict[str, Sequence[Seen]], watched: Watched, lines: Sequence[str], rate: float, seconds: float
) -> list[Check]:
    """What the figures come to."""
    over, after = seen["over"], seen["after"]
    fine, refused = took(over, 200), [each for each in over if each.status == 503]
    ends = max(each.due_s for each in over)
    late = [each for each in after if each.due_s >= ends + SETTLE_S]
    third = len(watched.resident_mb) // 3
    growth = statistics.median(watched.resident_mb[-third:]) - statistics.median(watched.resident_mb[third : 2 * third])
    unloaded = took(seen["before"], 200)
    return [
        ("goodput / capacity", len(fine) / seconds / rate, ">=", 0.8),
        ("p99 of the answered / unloaded p99", quantile_ms(fine, 0.99) / quantile_ms(unloaded, 0.99), "<=", 3),
        ("p99 of refusing, inside the gateway, ms", float(np.quantile(refusing_ms(lines, "over"), 0.99)), "<=", 5),
        ("most waiting at once, after the first 10 s", max(watched.waiting[10:]), "<=", 8),
        ("resident MB, last third less the second", growth, "<=", 5),
        ("refusals without Retry-After", sum(not each.retry_after for each in refused), "<=", 0),
        ("neither answered nor refused", len(over) - len(fine) - len(refused), "<=", 0),
        (f"refused {SETTLE_S:g} s after", sum(each.status != 200 for each in late), "<=", 0),
        (
            f"p99 {SETTLE_S:g} s after / before",
            quantile_ms(took(late, 200), 0.99) / quantile_ms(unloaded, 0.99),
            "<=",
            2,
        ),
    ]


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Length of the overload.")
@click.option("--calm-seconds", default=25.0, show_default=True, help="Length of the calm before and after.")
@click.option("--takes", default=0.025, show_default=True, help="Seconds that the back end takes for one answer.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(seconds: float, calm_seconds: float, takes: float, out: Path) -> None:
    """Measure, print the table, keep the raw figures."""
    exit_when_told()
    console = Console(width=120)
    command = [sys.executable, "-m", "tests.bench.fixed_server", str(takes)]
    with following(command, READY) as (_, said), gateway(f"dns:///{said[-1].removeprefix(READY)}") as (pid, at, lines):
        rate = capacity(pid, at, 5.0)
        seen, watched = asyncio.run(play(pid, at, rate, seconds, calm_seconds))
        time.sleep(0.5)  # until the access log is written
        found = checks(seen, watched, lines, rate, seconds)
    over = seen["over"]
    console.print(machine())
    console.print(
        f"capacity {rate:.1f}/s; offered {len(over) / seconds:.0f}/s; answered {len(took(over, 200)) / seconds:.1f}/s"
    )
    for name, each in seen.items():
        fine, refused = took(each, 200), took(each, 503)
        figures = ", ".join(f"p{share * 100:g} {quantile_ms(fine, share):.1f}" for share in (0.5, 0.99, 1))
        console.print(
            f"{name}: answered in ms: {figures}; refused, as callers saw it: p99 {quantile_ms(refused, 0.99):.1f}"
        )
    console.print(verdicts(found))
    save(
        out,
        "overload",
        {"capacity": rate, "checks": found, "resident_mb": watched.resident_mb, "waiting": watched.waiting},
    )


if __name__ == "__main__":
    main()
