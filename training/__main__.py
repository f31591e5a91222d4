"""The training commands: list, train, evaluate, import; `version_commands.py` adds those of published versions.

Progress goes to stderr, results to stdout. What exit codes mean, says `exits.py`.
"""

import os
import sys
from pathlib import Path
from typing import cast

import click
from rich.console import Console

from serving.card import ModelCard, Task
from serving.errors import BadInput

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter is not ours; set before its import

from training import contest, imported_model, options, recipes, session, tables, version_commands
from training.exits import WORSE, refusals
from training.export import Published
from training.foreign_model import Scale
from training.progress import Progress


@click.group(help="Train image and text classifiers and publish them for serving.")
def cli() -> None:
    """Group of all commands."""


@cli.command("list")
def list_recipes() -> None:
    """Show the recipes."""
    Console().print(tables.of_recipes([recipes.find(name) for name in recipes.names()]))


@cli.command()
@click.argument("names", metavar="RECIPE...", nargs=-1, required=True)
@options.SOURCE
@options.DATA_DIR
@options.TARGET
@options.SHA256
@click.option("--backbone-weights", default="", help="imagenet, none, or the path of a weights file.")
@click.option("--epochs", type=click.IntRange(1), help="Other than the recipe's.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
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
@options.QUIET
@refusals
def train(
    names: tuple[str, ...], source: str | None, data_dir: Path | None, target: str, sha256: str, backbone_weights: str,
    epochs: int | None, seed: int, name: str, models: Path, cache_dir: Path, runs: Path, others: Path | None,
    force: bool, int8: bool, no_publish: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train each RECIPE, measure it on its test split, verify the export and publish it."""
    if name and len(names) > 1:
        raise BadInput("--name is for one recipe; several are published under their own names")
    kept_back = False
    for recipe in [recipes.find(each) for each in names]:
        order = session.Order(
            recipe=session.with_epochs(recipe, epochs),
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
        outcome = session.train(order, Progress(visible=not quiet))
        _report(outcome.published)
        kept_back = kept_back or outcome.published.refused
    sys.exit(WORSE if kept_back else 0)


@cli.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Other than the newest.")
@options.SOURCE
@options.DATA_DIR
@options.TARGET
@options.SHA256
@options.MODELS
@options.CACHE
@options.QUIET
@refusals
def evaluate(
    name: str, version: int | None, source: str | None, data_dir: Path | None, target: str, sha256: str, models: Path,
    cache_dir: Path, quiet: bool,
) -> None:  # fmt: skip
    """Measure the published model NAME on its test split, with the code that serves it."""
    _, card = contest.find_card(models, name, version)
    question = session.Question(
        name=name,
        version=version,
        recipe=options.recipe_of(card),
        choice=options.choice(source or options.kind_of(card), data_dir, target, sha256),
        models=models,
        cache=cache_dir,
    )
    _show(session.evaluate(question, Progress(visible=not quiet)))


@cli.command("import")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Of the published model.")
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="A file with one label per line.")
@click.option("--task", required=True, type=click.Choice(["image_classification", "text_classification"]))
@click.option(
    "--scale", type=click.Choice(["0-1", "-1-1", "none"]), default="none", show_default=True,
    help="The range of pixel values that the model was trained on; none: 0 to 255.",
)  # fmt: skip
@click.option("--test-dir", type=click.Path(path_type=Path), help="Class folders to measure and compare it on.")
@options.INT8
@options.MODELS
@options.CACHE
@options.QUIET
@refusals
def import_model(
    model: Path, name: str, labels: Path, task: str, scale: str, test_dir: Path | None, int8: bool,
    models: Path, cache_dir: Path, quiet: bool,
) -> None:  # fmt: skip
    """Write a card for a trained MODEL (.keras file or SavedModel folder), verify it and publish it."""
    wanted = imported_model.Import(
        path=model,
        name=name,
        labels_file=labels,
        task=cast(Task, task),
        scale=cast(Scale, scale),
        test_dir=test_dir,
        int8=int8,
        models=models,
        cache=cache_dir,
    )
    published = imported_model.publish(wanted, Progress(visible=not quiet))
    _report(published)


def _show(card: ModelCard) -> None:
    """What was measured, as tables."""
    console = Console()
    if card.quality is not None:
        for table in tables.of_quality(card):
            console.print(table)
    if card.regression is not None:
        console.print(tables.of_regression(card))
    console.print(tables.of_parity(card))


def _report(published: Published) -> None:
    """What came of an export: its figures, what the gate said, and where it lies."""
    _show(published.card)
    console = Console(highlight=False, soft_wrap=True)
    for remark in published.remarks:
        console.print(remark, markup=False)
    if published.verdict is not None:
        version_commands.show(published.verdict)
    if published.refused:
        click.echo("Error: this version is worse than the one that serves; --force publishes it all the same", err=True)
        click.echo(f"Kept back {published.folder}" if published.folder else "Not published")
    else:
        click.echo(f"Published {published.folder}" if published.folder else "Not published, as asked")


version_commands.register(cli)

if __name__ == "__main__":
    cli(prog_name="python -m training")
