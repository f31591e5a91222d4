"""The training commands: list, evaluate, import; `train_commands.py` and `version_commands.py` add the others.

Progress goes to stderr, results to stdout. What exit codes mean, says `exits.py`.
"""

import os
from pathlib import Path
from typing import cast

import click
from rich.console import Console

from serving.card import Task

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter is not ours; set before its import

from training import (
    contest,
    evaluation,
    imported_model,
    options,
    printout,
    recipes,
    study_commands,
    tables,
    train_commands,
    version_commands,
)
from training.exits import refusals
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
    question = evaluation.Question(
        name=name,
        version=version,
        recipe=options.recipe_of(card),
        choice=options.choice_for(card, source, data_dir, target, sha256),
        models=models,
        cache=cache_dir,
    )
    printout.show(evaluation.evaluate(question, Progress(visible=not quiet)))


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
    printout.report(published)


train_commands.register(cli)
version_commands.register(cli)
study_commands.register(cli)

if __name__ == "__main__":
    cli(prog_name="python -m training")
