"""Commands that look at how a model learned: report and learning-curve.

`report.py`, `learning_curve.py` and `curve_page.py` do the work; `__main__.py` loads this room when one of the
commands is asked for.
"""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from training import curve_page, learning_curve, options, recipes, report, tables
from training.exits import refusals
from training.interruption import Stopped
from training.order import Order
from training.progress import Progress
from training.train_options import GroupedCommand, chosen, loop_options


@click.command("report")
@click.argument("run")
@options.RUNS
@refusals
def make_report(run: str, runs: Path) -> None:
    """Write the report of RUN: the folder of a run, or the name of a model, whose latest run is taken."""
    click.echo(report.write(report.latest(runs, run)))


@click.command("learning-curve", cls=GroupedCommand)
@click.argument("name", metavar="RECIPE")
@options.SOURCE
@options.DATA_DIR
@options.TARGET
@options.SHA256
@click.option("--backbone-weights", default="", help="imagenet, none, or the path of a weights file.")
@click.option("--seeds", type=click.IntRange(1, 20), default=3, show_default=True, help="Fittings at every size.")
@options.CACHE
@options.RUNS
@options.QUIET
@loop_options
@refusals
def draw_learning_curve(
    name: str, source: str | None, data_dir: Path | None, target: str, sha256: str, backbone_weights: str, seeds: int,
    cache_dir: Path, runs: Path, quiet: bool, **loop: Any,
) -> None:  # fmt: skip
    """Train RECIPE with an eighth, a quarter, a half and all of its examples, and draw what comes of it.

    Validation and test examples stay the same. Figures, plots and a page go to runs/RECIPE/learning-curve.
    """
    order = Order(
        recipe=chosen(recipes.find(name), loop),
        choice=options.choice(source, data_dir, target, sha256),
        backbone_weights=backbone_weights,
        cache=cache_dir,
    )
    points: list[learning_curve.Point] = []
    page = runs / name / "learning-curve" / "learning-curve.html"
    try:
        for point in learning_curve.measure(order, range(seeds), Progress(visible=not quiet)):
            points.append(point)
            curve_page.write(points, page, name)
    except (Stopped, KeyboardInterrupt) as stop:
        stop.add_note(f"sizes that were done are in {page}" if points else "no size was done")
        raise
    Console().print(tables.of_sizes(points))
    click.echo(page)
