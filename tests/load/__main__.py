"""`python -m tests.load`: find a stack's saturation, hold a share of it, judge it by its objectives.

The exit code is 1 when an objective is missed, 2 when the stack could not be asked. What was
measured is kept as build/load/summary.json, Locust's report as build/load/report.html.
"""

import tests.load.greenlets  # noqa: F401  # first of all: it patches the standard library

# isort: split
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from serving.errors import ServingError
from tests.bench.rounds import machine
from tests.load import objectives, shapes, stack
from tests.load.generator import Generator, Held, Saturation
from tests.load.objectives import Verdict
from tests.load.record import GENERATOR_LIMIT
from tests.load.users import Shared, wanted

_PATH = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--host", default="http://127.0.0.1:8080", show_default=True, help="The gateway.")
@click.option("--grpc", "target", help="The model server, HOST:PORT; else port 8500 of the host; '' asks none.")
@click.option("--api-key", envvar="SLIPWAY_API_KEY", help="Sent as a bearer token.")
@click.option("--photos", type=_PATH, help="Folder of JPEG files; else the built-in sample set.")
@click.option("--reviews", type=_PATH, help="aclImdb_v1.tar.gz; else drawn ones.")
@click.option("--shape", default="constant", show_default=True, type=click.Choice(shapes.NAMES))
@click.option("--seconds", type=click.FloatRange(min=1), help="Length of the shape; else what is usual for it.")
@click.option("--share", default=shapes.SHARE, show_default=True, help="Of saturation, where the objectives apply.")
@click.option("--step-seconds", default=5.0, show_default=True, help="Length of each step up to saturation.")
@click.option("--objective", "changed", multiple=True, metavar="KIND=MS", help="Another bound on a kind's p99.")
@click.option("--errors", default=objectives.ERROR_RATIO, show_default=True, help="Bound on the share of failures.")
@click.option("--generator-limit", default=GENERATOR_LIMIT, show_default=True, help="Generator CPU that is flagged.")
@click.option("--seed", default=1, show_default=True, help="Of photos, reviews and their order.")
@click.option("--out", default="build/load", show_default=True, type=click.Path(path_type=Path), help="Reports.")
def main(**given: Any) -> None:
    """Load a started stack and say whether it keeps its objectives."""
    console = Console(stderr=True)
    try:
        bounds = objectives.bounds(given["changed"])
        found = stack.found(
            given["host"], given["target"], given["photos"], given["reviews"], given["seed"], given["api_key"]
        )
    except (ServingError, ValueError) as error:
        console.print(f"load: {error}", markup=False)
        sys.exit(2)
    said = f"{found.host} serves {', '.join(found.models)}; gRPC: {found.grpc or 'nobody answers, left out'}"
    console.print(said, markup=False)
    Shared.stack = found
    if given["api_key"]:
        Shared.headers = {"Authorization": f"Bearer {given['api_key']}"}
    saturation, held, html = _run(console, given)
    spells = [each.figures for each in held if each.stage.judged]
    asked = [user.kind for user in wanted(found)]
    verdicts = objectives.judged(spells, bounds, given["errors"], asked)
    _keep(given, saturation, held, verdicts, html)
    _print(console, saturation, held, verdicts)
    console.print(f"reports: {given['out'] / 'report.html'}, {given['out'] / 'summary.json'}", markup=False)
    sys.exit(0 if verdicts and all(verdict.met for verdict in verdicts) else 1)


def _run(console: Console, given: dict[str, Any]) -> tuple[Saturation, list[Held], str]:
    plan = shapes.stages(given["shape"], given["seconds"], given["share"])
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1.0)

        def show(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        generator = Generator(given["host"], show, given["generator_limit"])
        try:
            saturation = generator.saturation(given["step_seconds"])
            best = saturation.best
            told = f"saturation: {best.figures.per_second:.0f} answers/s by {best.users} users at once"
            progress.console.print(told)
            return saturation, generator.hold(plan, saturation), generator.html()
        finally:
            generator.close()


def _keep(given: dict[str, Any], saturation: Saturation, held: list[Held], verdicts: list[Verdict], html: str) -> None:
    out: Path = given["out"]
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.html").write_text(html)
    document = {
        "machine": machine(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {name: str(value) for name, value in given.items() if name != "api_key"},
        "models": Shared.stack.models,
        "saturation": saturation.as_json(),
        "held": [each.as_json() for each in held],
        "objectives": [verdict.as_json() for verdict in verdicts],
        "generator_flagged": _flags(saturation, held),
    }
    (out / "summary.json").write_text(json.dumps(document, indent=1))


def _flags(saturation: Saturation, held: list[Held]) -> list[str]:
    """Where the generator had too little left of its core for its figures to be the stack's."""
    found = []
    if saturation.by_generator:
        share = saturation.best.figures.generator_cpu
        found.append(f"saturation: the generator used {share:.0%} of its core; the stack may bear more")
    for each in held:
        if each.figures.generator_cpu > saturation.limit:
            share = each.figures.generator_cpu
            found.append(
                f"{each.stage.share:.0%}: the generator used {share:.0%} of its core; latencies are its own too"
            )
    return found


def _print(console: Console, saturation: Saturation, held: list[Held], verdicts: list[Verdict]) -> None:
    names = ("stage", "kind", "requests/s", "failed", "p50 ms", "p99 ms", "slowest ms", "codes")
    table = Table(*names, title=machine())
    for each in held:
        stage = f"{each.stage.share:.0%}" + ("" if each.stage.judged else " (not judged)")
        for kind, figures in each.figures.kinds.items():
            numbers = (figures.per_second, figures.failed, figures.p50_ms, figures.p99_ms, figures.slowest_ms)
            codes = ", ".join(f"{code}: {count}" for code, count in sorted(figures.codes.items()))
            table.add_row(stage, kind, *(f"{number:.4g}" for number in numbers), codes)
    console.print(table)
    for verdict in verdicts:
        mark = "[green]met[/]" if verdict.met else "[red]MISSED[/]"
        console.print(f"{mark} {verdict.objective}: {verdict.measured:.4g}, at most {verdict.at_most:g}")
    for flag in _flags(saturation, held):
        console.print(f"[yellow]the generator is the bottleneck[/] at {flag}")


if __name__ == "__main__":
    main(prog_name="python -m tests.load")
