"""The commands that make a model learn: train and resume, and list, which says what can be trained."""

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from serving.errors import BadInput
from training import options, printout, recipes, session, strategies, tables
from training.exits import WORSE, refusals
from training.learning import StrategyKind
from training.order import from_json
from training.progress import Progress
from training.run_folder import RunFolder
from training.train_options import GroupedCommand, chosen, loop_options


@click.command("list")
def list_recipes() -> None:
    """Show the recipes."""
    Console().print(tables.of_recipes([recipes.find(name) for name in recipes.names()]))


@click.command(cls=GroupedCommand)
@click.argument("names", metavar="RECIPE...", nargs=-1, required=True)
@options.SOURCE
@options.DATA_DIR
@options.TARGET
@options.SHA256
@click.option("--backbone-weights", default="", help="imagenet, none, or the path of a weights file.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of all that is random.")
@click.option("--name", default="", help="Of the published model, other than the recipe's.")
@options.MODELS
@options.CACHE
@options.RUNS
@click.option(
    "--others", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of photos of other things, to measure the anomaly score on.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Publish also what is worse than the version that serves now.")
@options.INT8
@click.option("--no-publish", is_flag=True, help="Train, export and verify, then throw the version away.")
@click.option("--resume", "run", type=click.Path(path_type=Path), help="Go on with this run, by its own options.")
@options.QUIET
@loop_options
@click.pass_context
@refusals
def train(
    asked: click.Context, names: tuple[str, ...], source: str | None, data_dir: Path | None, target: str, sha256: str,
    backbone_weights: str, seed: int, name: str, models: Path, cache_dir: Path, runs: Path, others: Path | None,
    force: bool, int8: bool, no_publish: bool, run: Path | None, quiet: bool, **loop: Any,
) -> None:  # fmt: skip
    """Train each RECIPE, measure it on its test split, verify the export and publish it.

    Unless given, the options of the groups are as the recipe has them.
    """
    progress = Progress(visible=not quiet)
    if run is not None:
        _only_a_name(asked, names)
        sys.exit(_resumed(RunFolder.open(run), progress, names[0]))
    if name and len(names) > 1:
        raise BadInput("--name is for one recipe; several are published under their own names")
    orders = [
        session.Order(
            recipe=chosen(recipes.find(each), loop),
            choice=options.choice(source, data_dir, target, sha256),
            name=name,
            seed=seed,
            backbone_weights=backbone_weights,
            models=models,
            cache=cache_dir,
            runs=runs,
            others=others,
            force=force,
            int8=int8,
            trial=no_publish,
        )
        for each in names
    ]
    sys.exit(max(_trained(order, progress) for order in orders))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@options.QUIET
@refusals
def resume(run: Path, quiet: bool) -> None:
    """Go on with RUN, the folder of a run that was stopped or killed, by the options that it began with."""
    sys.exit(_resumed(RunFolder.open(run), Progress(visible=not quiet)))


def _only_a_name(asked: click.Context, names: tuple[str, ...]) -> None:
    """Options that a resumed run would ignore are refused."""
    for parameter in asked.command.params:
        given = asked.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name not in {"names", "run", "quiet"}:
            raise BadInput(f"a run goes on with the options that it began with: leave {parameter.opts[0]} out")
    if len(names) > 1:
        raise BadInput("--resume goes on with one run: name one recipe")


def _resumed(folder: RunFolder, progress: Progress, name: str = "") -> int:
    facts = folder.read()
    if not facts.get("recipe") or "order" not in facts:
        raise BadInput(f"{folder.path} does not say what was asked: begin the run anew")
    if name and name != facts["recipe"]:
        raise BadInput(f"{folder.path} is a run of {facts['recipe']}, not of {name}")
    return _trained(from_json(facts, recipes.find(facts["recipe"])), progress, folder)


def _trained(order: session.Order, progress: Progress, folder: RunFolder | None = None) -> int:
    """Train as chief or as one of several workers; returns the exit code."""
    kind: StrategyKind = order.recipe.strategy
    if not strategies.is_chief(kind):
        session.assist(order, progress, folder)
        click.echo("Done; the chief of the workers publishes")
        return 0
    outcome = session.train(order, progress, folder)
    printout.report(outcome.published)
    return WORSE if outcome.published.refused else 0
