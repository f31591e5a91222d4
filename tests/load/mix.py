"""What people send: photos of many sizes and formats, some of them broken, and reviews.

Everything is drawn from one seed, so that two runs send the same bytes in the same order.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from tests.bench import bodies
from training.sample_pictures import SHAPES, draw

PHOTOS = 100
BROKEN = 0.02
"""Share of photos that no server can read."""
AS_THEY_ARE = 0.7
"""Share of photos sent as the files are; the others are made anew in another size or format."""
_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
_WEIGHTS = (6, 2, 1, 1)
_SIDES = (64, 160, 224, 480, 800, 1600)


@dataclass(frozen=True, slots=True)
class Photo:
    """A body to post, and whether its refusal is the right answer."""

    body: bytes
    kind: str
    broken: bool = False


def photos(folder: Path | None, seed: int, count: int = PHOTOS) -> list[Photo]:
    """So many photos of a folder with JPEG files, else of the built-in sample set, in an order drawn by the seed."""
    random = Random(seed)
    originals = bodies.photos(folder) if folder else _samples(seed)
    if not originals:
        raise ValueError(f"{folder} has no .jpg files")
    broken = max(1, round(BROKEN * count))
    found = [_varied(random.choice(originals), random) for _ in range(count - broken)]
    found += [_spoiled(random.choice(originals), number) for number in range(broken)]
    random.shuffle(found)
    return found


def reviews(archive: Path | None, seed: int) -> list[bytes]:
    """Reviews of the archive, else drawn ones, in an order drawn by the seed."""
    found = bodies.reviews(archive, most=1_000)
    Random(seed).shuffle(found)
    return found


def _samples(seed: int) -> list[bytes]:
    return [draw(shape, np.random.default_rng((seed, turn, ord(shape[1])))) for shape in SHAPES for turn in range(8)]


def _varied(original: bytes, random: Random) -> Photo:
    if random.random() < AS_THEY_ARE:
        return Photo(original, "image/jpeg")
    kind = random.choices(list(_FORMATS), _WEIGHTS)[0]
    # A phone's photo is big as a JPEG; in the other formats such sizes are rare.
    sides = _SIDES if kind == "JPEG" else _SIDES[:4]
    picture = Image.open(io.BytesIO(original)).convert("RGB").resize((random.choice(sides), random.choice(sides)))
    file = io.BytesIO()
    picture.save(file, kind)
    return Photo(file.getvalue(), _FORMATS[kind])


def _spoiled(original: bytes, number: int) -> Photo:
    """In turn: cut short, no picture at all, a head and then noise."""
    spoiled: Sequence[bytes] = (
        original[: len(original) // 2],
        b"this is no picture\n" * 500,
        original[:4] + bytes(range(256)) * 20,
    )
    return Photo(spoiled[number % len(spoiled)], "image/jpeg", broken=True)
