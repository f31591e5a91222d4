"""`python -m training.sample_files FOLDER`: one sample picture of each shape as a file, to post to a server.

A command of its own, since it needs neither TensorFlow nor the other training commands.
"""

from pathlib import Path

import click
import numpy as np

from training.sample_pictures import SHAPES, draw

SEED = 2026
"""Not one of the training data's, so that the pictures are new to every model."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def write(folder: Path) -> None:
    """Write one picture of each shape, named after it, into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, shape in enumerate(SHAPES):
        (folder / f"{shape}.jpg").write_bytes(draw(shape, np.random.default_rng((SEED, number))))


if __name__ == "__main__":
    write()
