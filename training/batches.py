"""Examples dealt out in batches while a network learns: shuffled, augmented, the same for the same seed.

`phase.py` takes them one epoch after the other. What an epoch deals depends on the seed and its number alone,
so a run that is taken up again gets what an unbroken one would. Changes to pictures are made here on numpy
arrays, in front of the network, so that the exported graph knows nothing of them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.card import Input
from training.learning import Augment
from training.recipe import Examples

_STILL = Augment()


class Batches:
    """One split. Without a seed: in its own order, unchanged."""

    def __init__(
        self,
        examples: Examples,
        spec: Input,
        size: int,
        seed: int | None = None,
        augment: Augment = _STILL,
        least: int = 1,
    ) -> None:
        """Args: see Examples and Recipe; seed: shuffle and augment by it; least: smaller batches are left out."""
        self._examples, self._spec, self._size = examples, spec, size
        self._seed, self._augment, self._least = seed, augment, least
        self.deal(0)

    def __len__(self) -> int:
        """Batches an epoch; the last may be smaller."""
        whole, rest = divmod(len(self._examples), self._size)
        return whole + (rest >= self._least)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Batch `index` of this epoch: inputs and labels."""
        rows = np.sort(self._order[index * self._size : (index + 1) * self._size])
        inputs, labels = self._examples.batch(rows, self._spec), self._examples.labels[rows]
        if self._seed is not None and self._augment != _STILL:
            inputs = augmented(inputs, self._augment, np.random.default_rng([self._seed, self._epoch, index]))
        return inputs, labels

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """All batches of this epoch, each prepared while the one before is used."""
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.__getitem__, 0)
            for index in range(len(self)):
                batch = coming.result()
                if index + 1 < len(self):
                    coming = ahead.submit(self.__getitem__, index + 1)
                yield batch

    def deal(self, epoch: int) -> None:
        """Shuffle as epoch number `epoch`, from 0, does."""
        self._epoch = epoch
        self._order = np.arange(len(self._examples))
        if self._seed is not None:
            np.random.default_rng([self._seed, epoch]).shuffle(self._order)


def augmented(pixels: NDArray[np.uint8], how: Augment, random: np.random.Generator) -> NDArray[np.uint8]:
    """Changed copies of pictures [N, H, W, C]."""
    changed = np.array(pixels)
    if how.flip:
        turned = random.random(len(changed)) < 0.5
        changed[turned] = changed[turned, :, ::-1]
    for row, picture in enumerate(changed):
        if how.crop:
            picture = _cropped(picture, how.crop, random)
        if how.shift:
            picture = _shifted(picture, how.shift, random)
        if how.color:
            picture = _colored(picture, how.color, random)
        changed[row] = picture
    return changed


def _shifted(picture: NDArray[np.uint8], share: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Moved within its frame, the edge repeated where nothing was."""
    height, width = picture.shape[:2]
    down, right = (round(float(random.uniform(-share, share)) * side) for side in (height, width))
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    moved: NDArray[np.uint8] = picture[rows[:, None], columns]
    return moved


def _cropped(picture: NDArray[np.uint8], share: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """A part of the picture, its sides shorter by up to the share, scaled up to the whole (bilinear)."""
    height, width, channels = picture.shape
    kept = 1 - random.uniform(0, share)
    left, top = random.uniform(0, 1 - kept) * width, random.uniform(0, 1 - kept) * height
    box = (left, top, left + kept * width, top + kept * height)
    parts = [
        np.asarray(Image.fromarray(picture[:, :, one]).resize((width, height), Image.Resampling.BILINEAR, box))
        for one in range(channels)
    ]
    return np.stack(parts, axis=-1)


def _colored(picture: NDArray[np.uint8], strength: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast and saturation each times a factor between 1 - strength and 1 + strength."""
    brighter, starker, fuller = random.uniform(1 - strength, 1 + strength, 3)
    values = picture.astype(np.float32) * brighter
    mean = values.mean()
    values = mean + (values - mean) * starker
    gray = values.mean(axis=-1, keepdims=True)
    values = gray + (values - gray) * fuller
    changed: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return changed
