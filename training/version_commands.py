"""Commands for versions that need their model: compare, evaluate, import, export-lite.

`contest.py`, `evaluation.py`, `imported_model.py` and `lite.py` do the work; `__main__.py` loads this room when
one of them is asked for.
"""

import sys
from pathlib import Path
from typing import cast, get_args

import click
from rich.console import Console

from serving.card import ModelCard, Task
from training import contest, datasets, evaluation, imported_model, lite, options, parity, printout, tables
from training.datasets import SourceChoice
from training.exits import WORSE, refusals
from training.foreign_model import Scale
from training.progress import Progress
from training.sources import Source

_NUMBER = click.IntRange(1)


@click.command()
@click.argument("name")
@click.argument("first", metavar="V1", type=_NUMBER)
@click.argument("second", metavar="V2", type=_NUMBER)
@options.SOURCE
@options.DATA_DIR
@options.TARGET
@options.SHA256
@options.MODELS
@options.CACHE
@options.QUIET
@refusals
def compare(
    name: str, first: int, second: int, source: str | None, data_dir: Path | None, target: str, sha256: str,
    models: Path, cache_dir: Path, quiet: bool,
) -> None:  # fmt: skip
    """Ask versions V1 and V2 of NAME the same test examples; exit code 3 if V2 is worse than V1."""
    _, card = contest.find_card(models, name, second)
    opened = _source_of(card, options.choice_for(card, source, data_dir, target, sha256))
    verdict = contest.compare(models, name, (first, second), opened, cache_dir, Progress(visible=not quiet))
    printout.judged(verdict)
    sys.exit(WORSE if verdict.refusals else 0)


def _source_of(card: ModelCard, chosen: SourceChoice) -> Source:
    recipe = options.recipe_of(card)
    return datasets.open_source(recipe.source if recipe else datasets.unknown_source(card.dataset.name), chosen)


@click.command()
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


@click.command("import")
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


@click.command("export-lite")
@click.argument("name")
@click.option("--version", type=_NUMBER, help="Other than the newest.")
@click.option("--weights", type=click.Choice(get_args(lite.Weights)), default="float16", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="The file; NAME-VERSION.tflite if not given.")
@options.SOURCE
@options.DATA_DIR
@options.TARGET
@options.SHA256
@options.MODELS
@options.CACHE
@options.QUIET
@refusals
def export_lite(
    name: str, version: int | None, weights: lite.Weights, output: Path | None, source: str | None,
    data_dir: Path | None, target: str, sha256: str, models: Path, cache_dir: Path, quiet: bool,
) -> None:  # fmt: skip
    """Write NAME as a TFLite file with its card inside, and hold its answers against the version's."""
    folder, card = contest.find_card(models, name, version)
    opened = _source_of(card, options.choice_for(card, source, data_dir, target, sha256))
    labels = tuple(sorted(card.labels))
    progress = Progress(visible=not quiet)
    data = datasets.load(opened, card.input, network=name, labels=labels, cache=cache_dir, progress=progress)
    path = output or Path(f"{name}-{card.version}.tflite")
    progress.say("Converting and comparing")
    Console().print(tables.of_lite(lite.write(folder, card, parity.spread(data, card.input), weights, path)))
    click.echo(path)
