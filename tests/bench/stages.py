"""Where the time of one request goes, stage by stage, against the limit: `make profile`.

Three servers are asked in turns, round after round, and what lies between them is named: a handler
that returns at once, a gateway whose model computes next to nothing, a gateway with the real model.
Beside them the bare steps run in a tight loop. What is left over, `threads and caches`, is what
the real gateway costs above the sum of its parts.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import click
from rich.console import Console, Group
from rich.table import Table

from clients.http_client import HttpClient
from tests.bench import ours, pictures
from tests.bench.contestants import Running, looping, served
from tests.bench.models import newest
from tests.bench.ours import Given
from tests.bench.rounds import Measure, Rounds, alternate, machine, save
from tests.processes import exit_when_told, slipway

HTTP, EMPTY, REAL = "HTTP alone", "gateway, no-op model", "gateway"
PREPARED, WORK, MODEL, NOTHING = "decode and resize", "bare work", "model", "no-op model"
_STAGE = re.compile(r'^gateway_stage_seconds_sum\{model="([^"]*)",stage="(\w+)",version="\d+"\} (\S+)', re.M)
_FOLDER = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--photos", type=_FOLDER, help="Folder of JPEG files; else drawn ones.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1), help="Turns of every measure.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Results.")
def main(photos: Path | None, rounds: int, seconds: float, out: Path) -> None:
    """Measure, print the stages, draw them."""
    exit_when_told()
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    with ours.given(photos, None, out) as what:
        with measures(what, seconds) as found:
            rounded = alternate(found, rounds)
        walls = wall_stages(what)
    cpu = cpu_stages(rounded)
    console.print(table(cpu, walls))
    rows = {"gateway": list(cpu.items()), "limit": [(name, cpu[name]) for name in (PREPARED, MODEL)]}
    title = f"CPU of one photo by stage; {machine()}"
    pictures.save(pictures.stacked(rows, title, "milliseconds of one core"), out, "profile")
    save(out, "profile", {"rounds": rounded.figures, "cpu_ms": cpu, "wall_ms": walls})
    console.print(f"{out}/profile.svg, .png and .json")


@contextmanager
def measures(what: Given, seconds: float) -> Iterator[Mapping[str, Measure]]:
    """Everything started; each measure wakes one of them."""
    version, empty = newest(what.models, ours.PHOTOS), newest(what.models, "nothing")
    with ExitStack() as stack:
        running: Mapping[str, Running] = {
            HTTP: stack.enter_context(served(partial(ours.return_at_once, what))),
            EMPTY: stack.enter_context(served(partial(ours.embedded, what, "auto", "nothing"))),
            REAL: stack.enter_context(served(partial(ours.embedded, what, "auto", ours.PHOTOS))),
            WORK: stack.enter_context(looping("photos", what.cores, version, what.photo_folder)),
            MODEL: stack.enter_context(looping("openvino", what.cores, version)),
            NOTHING: stack.enter_context(looping("openvino", what.cores, empty)),
        }
        yield {name: partial(each.spell, seconds) for name, each in running.items()}


def cpu_stages(rounded: Rounds) -> dict[str, float]:
    """CPU milliseconds of each stage of a request under eight callers; they add up to the gateway's."""

    def of(name: str) -> float:
        return rounded.median(name, "cpu_ms")

    prepared = of(WORK) - of(MODEL)
    around = of(EMPTY) - of(HTTP) - prepared - of(NOTHING)
    parts = {
        "HTTP": of(HTTP),
        PREPARED: prepared,
        MODEL: of(MODEL),
        "routes, queue, answer, metrics": around,
    }
    return {**parts, "threads and caches": of(REAL) - sum(parts.values())}


def wall_stages(what: Given, requests: int = 100) -> dict[str, float]:
    """Mean milliseconds of each stage for a lone caller, as the gateway itself measures them."""
    with slipway(what.models, "--no-access-log") as server, HttpClient(server.url, concurrency=1) as client:
        client.classify(what.photos[:10], ours.PHOTOS)
        before = _stages(client.metrics())
        client.classify([what.photos[at % len(what.photos)] for at in range(requests)], ours.PHOTOS)
        after = _stages(client.metrics())
    return {stage: 1000 * (after[stage] - before.get(stage, 0.0)) / requests for stage in after}


def _stages(page: str) -> dict[str, float]:
    """Seconds by stage so far, of the model that is asked."""
    found = _STAGE.findall(page)
    return {stage: float(value) for model, stage, value in found if model == ours.PHOTOS}


def table(cpu: Mapping[str, float], wall: Mapping[str, float]) -> Group:
    """Both views: CPU under load, and the clock of a lone request."""
    total = sum(cpu.values())
    limit = cpu[PREPARED] + cpu[MODEL]
    under_load = Table("stage", "CPU ms", "share", title=f"CPU of one photo, 8 callers; {machine()}")
    for stage, value in cpu.items():
        under_load.add_row(stage, f"{value:.3f}", f"{value / total:.0%}")
    under_load.add_row("all", f"{total:.3f}", f"{total / limit:.2f} times the limit of {limit:.3f}")
    alone = Table("stage", "ms", title="The same for a lone caller, by the gateway's own clock")
    for stage, value in wall.items():
        alone.add_row(stage, f"{value:.3f}")
    return Group(under_load, alone)


if __name__ == "__main__":
    main(prog_name="python -m tests.bench.stages")
