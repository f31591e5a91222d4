"""Examples dealt out in batches while a network learns: shuffled, augmented, the same for the same seed.

`fit.py` hands these to Keras. Changes to pictures are made here on numpy arrays, in front of the
network, so that the exported graph knows nothing of them.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.card import Input
from training.recipe import Augment, Examples

_STILL = Augment()


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """One split for Keras. Without a seed: in its own order, unchanged."""

    def __init__(
        self,
        examples: Examples,
        spec: Input,
        size: int,
        seed: int | None = None,
        augment: Augment = _STILL,
    ) -> None:
        """Args: see Examples and Recipe; seed: shuffle and augment by it, anew every epoch."""
        super().__init__()
        self._examples, self._spec, self._size = examples, spec, size
        self._seed, self._augment, self._epoch = seed, augment, -1
        self.on_epoch_begin()

    def __len__(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self._examples) // self._size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Batch `index` of this epoch: inputs and labels."""
        rows = np.sort(self._order[index * self._size : (index + 1) * self._size])
        inputs, labels = self._examples.batch(rows, self._spec), self._examples.labels[rows]
        if self._seed is not None and self._augment != _STILL:
            inputs = augmented(inputs, self._augment, np.random.default_rng([self._seed, self._epoch, index]))
        return inputs, labels

    def on_epoch_begin(self) -> None:
        """Deal anew."""
        self._epoch += 1
        self._order = np.arange(len(self._examples))
        if self._seed is not None:
            np.random.default_rng([self._seed, self._epoch]).shuffle(self._order)


def augmented(pixels: NDArray[np.uint8], how: Augment, random: np.random.Generator) -> NDArray[np.uint8]:
    """Changed copies of pictures [N, H, W, C]."""
    changed = np.array(pixels)
    if how.flip:
        turned = random.random(len(changed)) < 0.5
        changed[turned] = changed[turned, :, ::-1]
    if how.shift:
        for row, picture in enumerate(changed):
            changed[row] = _shifted(picture, how.shift, random)
    return changed


def _shifted(picture: NDArray[np.uint8], share: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Moved within its frame, the edge repeated where nothing was."""
    height, width = picture.shape[:2]
    down, right = (round(float(random.uniform(-share, share)) * side) for side in (height, width))
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    moved: NDArray[np.uint8] = picture[rows[:, None], columns]
    return moved
