"""Options that several training commands share, and what they come to."""

from pathlib import Path
from typing import cast, get_args

import click

from serving.card import ModelCard
from training import recipes
from training.datasets import SourceChoice
from training.recipe import Recipe, SourceKind

MODELS = click.option(
    "--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="The models folder."
)
CACHE = click.option(
    "--cache-dir", type=click.Path(path_type=Path), default=Path("data-cache"), show_default=True,
    help="Where prepared data is kept between runs.",
)  # fmt: skip
RUNS = click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Where the folder of every run is kept.",
)  # fmt: skip
SOURCE = click.option("--source", type=click.Choice(get_args(SourceKind)), help="Where the examples come from.")
DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Class folders, an archive or its folder, or TFDS' folder."
)
TARGET = click.option("--target", default="", help="The column of a table that the others should tell.")
SHA256 = click.option("--sha256", default="", help="What the archive's checksum must be.")
INT8 = click.option(
    "--int8/--no-int8", default=False, show_default=True,
    help="Also make an int8 form of a model of pictures, kept if it answers as well: quicker on CPUs that have VNNI.",
)  # fmt: skip
QUIET = click.option("--quiet", is_flag=True, help="No progress on stderr.")


def choice(source: str | None, data_dir: Path | None, target: str, sha256: str) -> SourceChoice:
    """What the caller said about the data."""
    return SourceChoice(kind=cast("SourceKind | None", source), data_dir=data_dir, sha256=sha256, target=target)


def choice_for(card: ModelCard, source: str | None, data_dir: Path | None, target: str, sha256: str) -> SourceChoice:
    """The same for a published version, whose card says what the caller did not."""
    kind = None if card.dataset.source == "unknown" else card.dataset.source
    return choice(source or kind, data_dir, target or str(card.training.get("target", "")), sha256)


def recipe_of(card: ModelCard) -> Recipe | None:
    """The recipe that a version came from; None where it was imported."""
    name = card.training.get("recipe", "")
    return recipes.find(name) if name in recipes.names() else None
