"""Damage as pictures and texts meet it on their way: how much of a model's accuracy survives.

`assessment.py` asks the network again on damaged copies of test examples. Every damage is drawn from
a fixed seed, so two versions are measured on the same copies. This room is numpy and Pillow alone.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Random = np.random.Generator
Pixels = NDArray[np.uint8]
"""[height, width, channels]; pictures at the size of the network's input."""


def _open(picture: Pixels) -> Image.Image:
    return Image.fromarray(picture.squeeze(axis=2) if picture.shape[2] == 1 else picture)


def _pixels(image: Image.Image, like: Pixels) -> Pixels:
    return np.asarray(image, np.uint8).reshape(like.shape)


def _jpeg(picture: Pixels, random: Random) -> Pixels:
    file = io.BytesIO()
    _open(picture).save(file, "JPEG", quality=20)
    return _pixels(Image.open(file), picture)


def _blur(picture: Pixels, random: Random) -> Pixels:
    return _pixels(_open(picture).filter(ImageFilter.GaussianBlur(max(picture.shape[:2]) / 100)), picture)


def _rotation(picture: Pixels, random: Random) -> Pixels:
    """By 15 degrees to a random side, enlarged so far that no corner is empty."""
    angle = 15.0 if random.random() < 0.5 else -15.0
    height, width = picture.shape[:2]
    turned = _open(picture).resize((round(width * 1.25), round(height * 1.25)), Image.Resampling.BILINEAR)
    turned = turned.rotate(angle, Image.Resampling.BILINEAR)
    left, top = (turned.width - width) // 2, (turned.height - height) // 2
    return _pixels(turned.crop((left, top, left + width, top + height)), picture)


def _noise(picture: Pixels, random: Random) -> Pixels:
    noise = random.normal(0, 25, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _brightness(factor: float) -> Callable[[Pixels, Random], Pixels]:
    def change(picture: Pixels, random: Random) -> Pixels:
        changed: Pixels = np.clip(picture * factor, 0, 255).astype(np.uint8)
        return changed

    return change


_OF_PICTURES: Mapping[str, Callable[[Pixels, Random], Pixels]] = {
    "JPEG quality 20": _jpeg,
    "blur, 1 % of the side": _blur,
    "rotated by 15 degrees": _rotation,
    "noise, deviation 25": _noise,
    "half as bright": _brightness(0.5),
    "half brighter": _brightness(1.5),
}


def of_pictures(pictures: Pixels) -> Mapping[str, Callable[[], Pixels]]:
    """Every damage to pictures uint8 [N, height, width, channels], made when asked for."""

    def damaged(change: Callable[[Pixels, Random], Pixels]) -> Callable[[], Pixels]:
        return lambda: np.stack([change(one, np.random.default_rng(row)) for row, one in enumerate(pictures)])

    return {name: damaged(change) for name, change in _OF_PICTURES.items()}


def _typos(text: str, random: Random) -> str:
    """Of every twentieth letter, by chance: exchanged with the next, left out, or doubled."""
    letters = list(text)
    for place in np.flatnonzero(random.random(len(letters)) < 0.05):
        if not letters[place].isalpha():
            continue
        kind = random.integers(3)
        if kind == 0 and place + 1 < len(letters) and letters[place + 1].isalpha():
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        elif kind == 1:
            letters[place] = ""
        else:
            letters[place] *= 2
    return "".join(letters)


def _first_half(text: str, random: Random) -> str:
    return text[: max(len(text) // 2, 1)]


def _last_half(text: str, random: Random) -> str:
    return text[len(text) // 2 :]


_OF_TEXTS: Mapping[str, Callable[[str, Random], str]] = {
    "typos in 5 % of letters": _typos,
    "first half alone": _first_half,
    "last half alone": _last_half,
}


def of_texts(texts: list[bytes]) -> Mapping[str, Callable[[], list[bytes]]]:
    """Every damage to texts in UTF-8, made when asked for."""

    def damaged(change: Callable[[str, Random], str]) -> Callable[[], list[bytes]]:
        return lambda: [
            change(one.decode(errors="replace"), np.random.default_rng(row)).encode() for row, one in enumerate(texts)
        ]

    return {name: damaged(change) for name, change in _OF_TEXTS.items()}
