"""Sample pictures, drawn by code: a shape somewhere in front of a photo-like background.

Drawn, not photographed: what learns from them learns shapes and nothing else. The shape is lit, the
background in shade; size, place, turn, color, blur, noise and JPEG quality vary.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SHAPES = ("circle", "square", "star", "triangle")

Random = np.random.Generator
Point = tuple[float, float]


def draw(shape: str, random: Random) -> bytes:
    """One JPEG file that shows the shape; the same state of `random` draws the same picture."""
    width, height = (int(side) for side in random.integers(90, 180, 2))
    ground = _clouds(width, height, float(random.uniform(30, 105)), random)
    front = _clouds(width, height, float(random.uniform(150, 225)), random)
    picture = Image.composite(front, ground, _mask(shape, width, height, random))
    _scratch(picture, random)
    picture = picture.filter(ImageFilter.GaussianBlur(float(random.uniform(0, 1.2))))
    file = io.BytesIO()
    _grain(picture, random).save(file, "JPEG", quality=int(random.integers(50, 95)))
    return file.getvalue()


def _clouds(width: int, height: int, light: float, random: Random) -> Image.Image:
    """A smooth field of color around a brightness, lighter to one side, as walls, meadows and skies are."""
    coarse = random.integers(2, 6, 2)
    color = random.normal(0, 28, 3)
    field = light + color - color.mean() + random.normal(0, 9, (*coarse, 3))
    field += np.linspace(-1, 1, coarse[1])[:, None] * random.uniform(-15, 15)
    small = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _mask(shape: str, width: int, height: int, random: Random) -> Image.Image:
    """White where the shape is."""
    size = min(width, height)
    radius = float(random.uniform(0.28, 0.46)) * size
    center = float(random.uniform(radius, width - radius)), float(random.uniform(radius, height - radius))
    outline = _OUTLINES[shape](_UPRIGHT[shape] + float(random.uniform(-0.3, 0.3)))
    mask = Image.new("L", (width, height))
    points = [(center[0] + radius * x, center[1] + radius * y) for x, y in outline]
    ImageDraw.Draw(mask).polygon(points, fill=int(random.integers(215, 256)))
    return mask


def _regular(corners: int, inner: float = 1.0) -> Callable[[float], list[Point]]:
    """A regular figure; with `inner` below 1 every second corner is drawn in, as in a star."""

    def outline(turn: float) -> list[Point]:
        lengths = (1.0, inner) * (corners // 2) if inner < 1 else (1.0,) * corners
        angles = (turn + 2 * math.pi * corner / corners for corner in range(corners))
        return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(lengths, angles, strict=True)]

    return outline


_UPRIGHT = {"circle": 0.0, "square": math.pi / 4, "star": -math.pi / 2, "triangle": -math.pi / 2}
"""The angle of the first corner, in radians; pictures are drawn up to 0.3 to either side."""
_OUTLINES = {"circle": _regular(48), "square": _regular(4), "star": _regular(10, 0.42), "triangle": _regular(3)}


def _scratch(picture: Image.Image, random: Random) -> None:
    """A few thin lines across everything, which belong to no shape."""
    brush = ImageDraw.Draw(picture)
    for _ in range(int(random.integers(0, 3))):
        ends = random.uniform(0, 1, 4) * np.array([picture.width, picture.height] * 2)
        brush.line([float(value) for value in ends], fill=tuple(int(value) for value in random.integers(0, 256, 3)))


def _grain(picture: Image.Image, random: Random) -> Image.Image:
    pixels: NDArray[np.float32] = np.asarray(picture, np.float32)
    noise = random.standard_normal((*pixels.shape[:2], 1), np.float32) * np.float32(random.uniform(2, 10))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
