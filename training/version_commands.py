"""Commands for what was trained before: compare, promote, rollback, prune, models-config, export-lite.

`versions.py`, `contest.py` and `lite.py` do the work; `__main__.py` takes the commands in by `register`.
"""

import sys
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from serving.card import ModelCard
from training import contest, datasets, lite, options, parity, tables, versions
from training.datasets import SourceChoice
from training.exits import WORSE, refusals
from training.gate import Verdict
from training.progress import Progress
from training.sources import Source

_NUMBER = click.IntRange(1)


def register(group: click.Group) -> None:
    """Add the commands of this room to a group."""
    for command in (compare, promote, rollback, prune, models_config, export_lite):
        group.add_command(command)


def show(verdict: Verdict) -> None:
    """Print what the gate found, and a sentence for everything that is worse."""
    console = Console(highlight=False, soft_wrap=True)
    if verdict.rows:
        console.print(tables.of_verdict(verdict))
    for sentence in (verdict.remark, *verdict.refusals):
        if sentence:
            console.print(f"{sentence[0].upper()}{sentence[1:]}", markup=False)


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
    show(verdict)
    sys.exit(WORSE if verdict.refusals else 0)


def _source_of(card: ModelCard, chosen: SourceChoice) -> Source:
    recipe = options.recipe_of(card)
    return datasets.open_source(recipe.source if recipe else datasets.unknown_source(card.dataset.name), chosen)


@click.command()
@click.argument("name")
@click.argument("version", type=_NUMBER)
@click.option("--label", type=click.Choice(["stable", "canary"]), default="stable", show_default=True)
@options.MODELS
@refusals
def promote(name: str, version: int, label: str, models: Path) -> None:
    """Put a label on VERSION of NAME; servers that watch the folder follow within a second or so."""
    before = versions.promote(contest.folder_of(models, name), version, label)
    was = f", before it was version {before}" if before is not None and before != version else ""
    click.echo(f"{label} of {name} is version {version}{was}")


@click.command()
@click.argument("name")
@click.option("--label", type=click.Choice(["stable", "canary"]), default="stable", show_default=True)
@options.MODELS
@refusals
def rollback(name: str, label: str, models: Path) -> None:
    """Put the label back on the version of NAME that had it before."""
    before, now = versions.rollback(contest.folder_of(models, name), label)
    click.echo(f"{label} of {name} is version {now} again, it was {before}")


@click.command()
@click.argument("name")
@click.option("--keep", type=_NUMBER, default=3, show_default=True, help="So many of the newest versions stay.")
@options.MODELS
@refusals
def prune(name: str, keep: int, models: Path) -> None:
    """Remove old versions of NAME; those with a label and the newest always stay."""
    removed = versions.prune(contest.folder_of(models, name), keep)
    click.echo(f"Removed {', '.join(str(version) for version in removed)}" if removed else "Nothing to remove")


@click.command("models-config")
@click.option("--base-path", required=True, help="The models folder as TensorFlow Serving will see it, absolute.")
@options.MODELS
@refusals
def models_config(base_path: str, models: Path) -> None:
    """Print a models.config for TensorFlow Serving: all models, their versions and labels.

    Start tensorflow_model_server with --allow_version_labels_for_unavailable_models=true, else it refuses labels
    of versions that it has not loaded yet; with --model_config_file_poll_wait_seconds it reads the file again.
    """
    click.echo(versions.models_config(models, base_path), nl=False)


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
