"""Commands that say which version serves: promote, rollback, prune, models-config; none of them needs TensorFlow.

`versions.py` does the work; `__main__.py` loads this room when one of them is asked for.
"""

from pathlib import Path

import click

from training import options, versions
from training.exits import refusals

_NUMBER = click.IntRange(1)


@click.command()
@click.argument("name")
@click.argument("version", type=_NUMBER)
@click.option("--label", type=click.Choice(["stable", "canary"]), default="stable", show_default=True)
@options.MODELS
@refusals
def promote(name: str, version: int, label: str, models: Path) -> None:
    """Put a label on VERSION of NAME; servers that watch the folder follow within a second or so."""
    before = versions.promote(versions.folder_of(models, name), version, label)
    was = f", before it was version {before}" if before is not None and before != version else ""
    click.echo(f"{label} of {name} is version {version}{was}")


@click.command()
@click.argument("name")
@click.option("--label", type=click.Choice(["stable", "canary"]), default="stable", show_default=True)
@options.MODELS
@refusals
def rollback(name: str, label: str, models: Path) -> None:
    """Put the label back on the version of NAME that had it before."""
    before, now = versions.rollback(versions.folder_of(models, name), label)
    click.echo(f"{label} of {name} is version {now} again, it was {before}")


@click.command()
@click.argument("name")
@click.option("--keep", type=_NUMBER, default=3, show_default=True, help="So many of the newest versions stay.")
@options.MODELS
@refusals
def prune(name: str, keep: int, models: Path) -> None:
    """Remove old versions of NAME; those with a label and the newest always stay."""
    removed = versions.prune(versions.folder_of(models, name), keep)
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
