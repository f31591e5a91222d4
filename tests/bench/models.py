"""The models that the benchmarks measure: where they lie and what they take; making.py makes them."""

import subprocess
import sys
from pathlib import Path

from serving import repository
from serving.card import ImageInput, TextInput
from tests.processes import CHECKOUT

SIDE = 160
PICTURE = ImageInput(height=SIDE, width=SIDE)
REVIEW = TextInput(bits=24, orders=3, unique=True)
CLASSIFIERS = ("pictures", "flowers", "reviews")
INT8 = "pictures_int8"
NAMES = (*CLASSIFIERS, INT8, "nothing")

PLAIN_READY = "plain server at "
"""Begins the line that plain_server.py prints when it is ready, followed by host:port."""


def made(folder: Path) -> Path:
    """The folder of models, filled first if it is not; in a process of its own, so that this one stays small."""
    if not set(NAMES) <= set(repository.models(folder)):
        print("making the models to measure ...", file=sys.stderr)
        command = [sys.executable, "-m", "tests.bench.making", "--out", str(folder.absolute())]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return folder


def newest(folder: Path, name: str) -> Path:
    """The folder of the highest version of a model."""
    return folder / name / str(repository.versions(folder / name)[-1])
