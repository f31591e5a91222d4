"""The training commands: list, train, evaluate, import.

Progress goes to stderr, results to stdout. Exit code 0, or 2 with one sentence where the data,
the weights or the options will not do; then nothing was published.
"""

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console

from serving.card import ModelCard, Quality, Task
from serving.errors import BadInput, ServingError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter is not ours; set before its import

from training import imported_model, recipes, session, tables
from training.datasets import SourceChoice
from training.foreign_model import Scale
from training.progress import Progress
from training.recipe import Recipe, SourceKind

_MODELS = click.option(
    "--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="The models folder."
)
_CACHE = click.option(
    "--cache-dir", type=click.Path(path_type=Path), default=Path("data-cache"), show_default=True,
    help="Where prepared data is kept between runs.",
)  # fmt: skip
_RUNS = click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Where the folder of every run is kept.",
)  # fmt: skip
_SOURCE = click.option(
    "--source", type=click.Choice(["sample", "directory", "archive", "tfds"]), help="Where the examples come from."
)
_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Class folders, an archive or its folder, or TFDS' folder."
)
_SHA256 = click.option("--sha256", default="", help="What the archive's checksum must be.")
_QUIET = click.option("--quiet", is_flag=True, help="No progress on stderr.")


def _refusals(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a person can mend into one sentence and exit code 2."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ServingError as error:
            _refuse(error.message)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            what = "no space left on the disk: free some, or move --cache-dir and --models" if full else str(error)
            _refuse(f"{what}; nothing was published")

    return guarded


def _refuse(sentence: str) -> None:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(2)


@click.group(help="Train image and text classifiers and publish them for serving.")
def cli() -> None:
    """Group of all commands."""


@cli.command("list")
def list_recipes() -> None:
    """Show the recipes."""
    Console().print(tables.of_recipes([recipes.find(name) for name in recipes.names()]))


@cli.command()
@click.argument("names", metavar="RECIPE...", nargs=-1, required=True)
@_SOURCE
@_DATA_DIR
@_SHA256
@click.option("--backbone-weights", default="", help="imagenet, none, or the path of a weights file.")
@click.option("--epochs", type=click.IntRange(1), help="Other than the recipe's.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--name", default="", help="Of the published model, other than the recipe's.")
@_MODELS
@_CACHE
@_RUNS
@click.option("--no-publish", is_flag=True, help="Train, export and verify, then throw the version away.")
@_QUIET
@_refusals
def train(
    names: tuple[str, ...], source: str | None, data_dir: Path | None, sha256: str, backbone_weights: str,
    epochs: int | None, seed: int, name: str, models: Path, cache_dir: Path, runs: Path, no_publish: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train each RECIPE, measure it on its test split, verify the export and publish it."""
    if name and len(names) > 1:
        raise BadInput("--name is for one recipe; several are published under their own names")
    for recipe in [recipes.find(each) for each in names]:
        order = session.Order(
            recipe=session.with_epochs(recipe, epochs),
            choice=_choice(source, data_dir, sha256),
            name=name,
            seed=seed,
            backbone_weights=backbone_weights,
            models=models,
            cache=cache_dir,
            runs=runs,
            trial=no_publish,
        )
        outcome = session.train(order, Progress(visible=not quiet))
        _report(outcome.published.card, outcome.quality, outcome.published.remarks)
        _say_where(outcome.published.folder)


@cli.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Other than the newest.")
@_SOURCE
@_DATA_DIR
@_SHA256
@_MODELS
@_CACHE
@_QUIET
@_refusals
def evaluate(
    name: str, version: int | None, source: str | None, data_dir: Path | None, sha256: str, models: Path,
    cache_dir: Path, quiet: bool,
) -> None:  # fmt: skip
    """Measure the published model NAME on its test split, with the code that serves it."""
    _, card = session.find_card(models, name, version)
    question = session.Question(
        name=name,
        version=version,
        recipe=_recipe_of(card),
        choice=_choice(source or _kind_of(card), data_dir, sha256),
        models=models,
        cache=cache_dir,
    )
    card, quality = session.evaluate(question, Progress(visible=not quiet))
    _report(card, quality, ())


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
@_MODELS
@_CACHE
@_QUIET
@_refusals
def import_model(
    model: Path, name: str, labels: Path, task: str, scale: str, test_dir: Path | None, models: Path,
    cache_dir: Path, quiet: bool,
) -> None:  # fmt: skip
    """Write a card for a trained MODEL (.keras file or SavedModel folder), verify it and publish it."""
    wanted = imported_model.Import(
        path=model,
        name=name,
        labels_file=labels,
        task=cast(Task, task),
        scale=cast(Scale, scale),
        test_dir=test_dir,
        models=models,
        cache=cache_dir,
    )
    published = imported_model.publish(wanted, Progress(visible=not quiet))
    _report(published.card, published.card.quality, published.remarks)
    _say_where(published.folder)


def _choice(source: str | None, data_dir: Path | None, sha256: str) -> SourceChoice:
    return SourceChoice(kind=cast("SourceKind | None", source), data_dir=data_dir, sha256=sha256)


def _kind_of(card: ModelCard) -> str | None:
    return None if card.dataset.source == "unknown" else card.dataset.source


def _recipe_of(card: ModelCard) -> Recipe | None:
    name = card.training.get("recipe", "")
    return recipes.find(name) if name in recipes.names() else None


def _report(card: ModelCard, quality: Quality | None, remarks: tuple[str, ...]) -> None:
    console = Console()
    if quality is not None:
        console.print(tables.of_quality(replace(card, quality=quality)))
    console.print(tables.of_parity(card))
    for remark in remarks:
        console.print(remark, markup=False, highlight=False)


def _say_where(folder: Path | None) -> None:
    click.echo(f"Published {folder}" if folder else "Not published, as asked")


if __name__ == "__main__":
    cli(prog_name="python -m training")
