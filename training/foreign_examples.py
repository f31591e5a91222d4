"""Pictures of anything but the classes of a model: what its anomaly score must notice.

Noise and blank pictures are made by code, drawings by `sample_pictures.py`; a folder of other
photos can be given. `assessment.py` shows them to the network.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, Input
from serving.errors import BadInput, ServingError
from serving.preprocess import image
from training import sample_pictures
from training.class_folders import SPLITS

_MADE = 100
_MOST = 400
"""Pictures of a given folder are taken up to this number, spread evenly over their names."""
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
_EMPTY = "{} holds no picture that can be read: give a folder of photos of other things"


def pictures(spec: ImageInput, *, drawings: bool, others: Path | None) -> Mapping[str, NDArray[np.uint8]]:
    """Kind to uint8 [N, height, width, channels].

    Args:
        spec: what the network takes.
        drawings: whether drawn shapes are foreign to it.
        others: a folder of photos of other things, its own folders included; its name becomes the kind, with that
            of the folder above where it is only a split's.

    Raises:
        BadInput: the folder holds no picture that can be read.
    """
    random, shape = np.random.default_rng(0), (_MADE, spec.height, spec.width, spec.channels)
    blank = random.integers(0, 256, (_MADE, 1, 1, spec.channels), np.uint8)
    found = {
        "noise": random.integers(0, 256, shape, np.uint8),
        "blank": np.ascontiguousarray(np.broadcast_to(blank, shape)),
    }
    if drawings:
        kinds = sample_pictures.SHAPES
        drawn = [sample_pictures.draw(kinds[row % len(kinds)], random) for row in range(_MADE)]
        found["drawings"] = np.stack([image.to_pixels(one, spec) for one in drawn])
    if others is not None:
        found[_kind(others.resolve())] = _of_folder(others, spec)
    return found


def check(folder: Path, spec: Input, name: str) -> None:
    """Refuse a folder of others that cannot be measured on, before the work and not after it.

    Raises:
        BadInput: the model is none of pictures, or no file in the folder is called like one.
    """
    if not isinstance(spec, ImageInput):
        raise BadInput(f"--others is for models of pictures, {name} is none: leave it out")
    if not _paths(folder):
        raise BadInput(_EMPTY.format(folder))


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def _kind(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}" if folder.name in SPLITS else folder.name


def _of_folder(folder: Path, spec: ImageInput) -> NDArray[np.uint8]:
    paths, read = _paths(folder), []
    for place in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), _MOST)).astype(int)):
        try:
            read.append(image.to_pixels(paths[place].read_bytes(), spec))
        except (ServingError, OSError):
            continue
    if not read:
        raise BadInput(_EMPTY.format(folder))
    return np.stack(read)
