"""`make bench`: the limit, this project, and what a user would build instead, side by side in one run.

Round after round, each in turn, every other round backwards: a spell of eight callers who never
pause (requests/s, CPU of a request), then a spell at half of what that came to, with fixed arrival
times (p50, p99). CPU per request is the figure to compare: it does not depend on who else uses
the machine. `make numbers` puts the result into the README.
"""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from tests.bench import numbers, ours
from tests.bench.contestants import Contestant, Running
from tests.bench.peers import roster
from tests.bench.rounds import save
from tests.processes import exit_when_told

Samples = dict[str, list[float]]
_FOLDER = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--photos", type=_FOLDER, help="Folder of JPEG files; else drawn ones.")
@click.option("--reviews", type=_FOLDER, help="aclImdb_v1.tar.gz; else drawn ones.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1), help="Turns of every contestant.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each of the two spells of a turn.")
@click.option(
    "--starts", default=3, show_default=True, type=click.IntRange(min=1), help="Starts to take the median of."
)
@click.option("--only", multiple=True, metavar="WORD", help="Those whose name has this word in it.")
@click.option("--peers", "with_peers", is_flag=True, help="Other servers too, each in an environment made for it.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Results.")
def main(
    photos: Path | None,
    reviews: Path | None,
    rounds: int,
    seconds: float,
    starts: int,
    only: Sequence[str],
    with_peers: bool,
    out: Path,
) -> None:
    """Measure, print the table, keep raw figures, picture and table."""
    exit_when_told()
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    with ours.given(photos, reviews, out) as what, Progress(console=console, transient=True) as progress:
        everybody = ours.everybody(what)
        left_out: dict[str, str] = {}
        if with_peers:
            found, left_out = roster.everybody(what, out / "environments", progress, only)
            everybody += found
        chosen = [each for each in everybody if not only or any(word in each.name for word in only)]
        rows = measured(chosen, rounds, seconds, starts, progress, left_out)
    document = {
        "rounds": rounds,
        "seconds": seconds,
        "sent": {"photos": len(what.photos), "reviews": len(what.reviews), "given": [str(photos), str(reviews)]},
        "rows": rows,
        "left_out": left_out,
    }
    save(out, "bench", document)
    numbers.draw(out)
    Console(width=150).print(numbers.table(numbers.read(out)))
    for name, why in left_out.items():
        console.print(f"{name} was left out: {why}", markup=False)
    console.print(f"{out}/bench.json, .svg, .png; `make numbers` puts them into the README")


def measured(
    everybody: Sequence[Contestant],
    rounds: int,
    seconds: float,
    starts: int,
    progress: Progress,
    left_out: dict[str, str],
) -> list[dict[str, Any]]:
    """Start all, take the rounds, and say of each what it came to; one that cannot start is left out and named."""
    samples: dict[str, Samples] = {each.name: {} for each in everybody}
    groups = {each.name: each.group for each in everybody}
    task = progress.add_task("starting", total=len(everybody) * (starts + rounds))
    with ExitStack() as stack:
        running: dict[str, Running] = {}
        for each in everybody:
            progress.update(task, description=f"starting {each.name}")
            try:
                running[each.name] = _started(each, starts, samples[each.name], stack)
            except RuntimeError as error:
                left_out[each.name] = str(error)
            progress.advance(task, starts)
        for number in range(rounds):
            for name in list(running)[:: -1 if number % 2 else 1]:
                progress.update(task, description=f"round {number + 1} of {rounds}: {name}")
                try:
                    _turn(running[name], seconds, samples[name], half=groups[name] != "limit")
                except RuntimeError as error:
                    left_out[name] = f"it failed in round {number + 1}: {error}"
                    del running[name]
                progress.advance(task)
        for name, started in running.items():
            _add(samples[name], {"peak_mb": started.peak_mb()})
    return [_row(each, samples[each.name]) for each in everybody if each.name in running]


def _started(contestant: Contestant, starts: int, samples: Samples, stack: ExitStack) -> Running:
    """Started as often as wanted; the last one stays."""
    for _ in range(starts - 1 if contestant.group != "limit" else 0):
        with contestant.start() as passing:
            _add(samples, {"ready_s": passing.ready_s})
    running = stack.enter_context(contestant.start())
    _add(samples, {"ready_s": running.ready_s})
    return running


def _turn(running: Running, seconds: float, samples: Samples, half: bool) -> None:
    """One turn: as hard as it goes, then, if wanted, at half of that."""
    full = running.spell(seconds)
    _add(samples, full)
    if half and running.at is not None:
        _add(samples, running.at(max(1.0, full["per_second"] / 2), seconds))


def _add(samples: Samples, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        samples.setdefault(name, []).append(value)


def _row(contestant: Contestant, samples: Samples) -> dict[str, Any]:
    disk = {"disk_mb": contestant.disk_mb()} if contestant.disk_mb else {}
    medians = {name: statistics.median(values) for name, values in samples.items()}
    about = {"name": contestant.name, "group": contestant.group, "what": contestant.what, "note": contestant.note}
    return {**about, "medians": {**medians, **disk}, "samples": samples}


if __name__ == "__main__":
    main(prog_name="python -m tests.bench")
