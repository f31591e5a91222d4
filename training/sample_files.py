"""`python -m training.sample_files FOLDER`: sample pictures, texts or a table as files, to try things on.

Without options one picture of each shape, to post to a server; with `--each` a folder per class, laid out as
`train image_folder` and `train text_folder` take them. A command of its own, since it needs neither TensorFlow nor
the other training commands.
"""

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from training import sample_tables, sample_texts
from training.sample_pictures import SHAPES, draw

SEED = 2026
"""Not one of the training data's, so that the pictures are new to every model."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--each", type=click.IntRange(1), help="So many examples of each class, a folder for each class.")
@click.option(
    "--what", type=click.Choice(["pictures", "texts", "table"]), default="pictures", show_default=True,
    help="Drawn shapes, generated reviews, or stock.csv, the days of a made-up share.",
)  # fmt: skip
def write(folder: Path, each: int | None, what: str) -> None:
    """Write sample files into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    if what == "table":
        (folder / "stock.csv").write_bytes(sample_tables.TABLES["sample_stock"].write())
    elif what == "texts":
        _write_classes(folder, sample_texts.OPINIONS, each or 1, "txt", lambda *how: sample_texts.write(*how).encode())
    elif each is not None:
        _write_classes(folder, SHAPES, each, "jpg", draw)
    else:
        for number, shape in enumerate(SHAPES):
            (folder / f"{shape}.jpg").write_bytes(draw(shape, np.random.default_rng((SEED, number))))


def _write_classes(
    folder: Path, labels: tuple[str, ...], each: int, ending: str, make: Callable[[str, np.random.Generator], bytes]
) -> None:
    for place, label in enumerate(labels):
        (folder / label).mkdir(exist_ok=True)
        for number in range(each):
            content = make(label, np.random.default_rng((SEED, place, number)))
            (folder / label / f"{number}.{ending}").write_bytes(content)


if __name__ == "__main__":
    write()
