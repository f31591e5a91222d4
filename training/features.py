"""What a frozen part of a network makes of the examples, computed once and kept on disk.

`fit.py` trains the head on these instead of on pictures, many times faster. The cache key holds
the prepared data's key and what the part answers to two fixed pictures, so other weights or
another scaling never meet old features.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.card import ImageInput
from training.prepared_cache import PreparedData, written_aside
from training.progress import Progress
from training.recipe import Examples

_BATCH = 32


def of_split(
    frozen: Any, data: PreparedData, split: str, spec: ImageInput, *, flip: bool, cache: Path, progress: Progress
) -> Examples:
    """The features of one split, float32 [N, F]; with `flip` the mirrored pictures' behind them, [2N, F]."""
    examples: Examples = getattr(data, split)
    views = ("as they are", "mirrored") if flip else ("as they are",)
    parts = [_view(frozen, data, split, spec, view, cache, progress) for view in views]
    return Examples(np.concatenate(parts), np.tile(examples.labels, len(views)), list(examples.names) * len(views))


def kept(frozen: Any, data: PreparedData, split: str, spec: ImageInput, cache: Path) -> NDArray[np.float32] | None:
    """The features of one split, float32 [N, F], where they were computed before; None where they were not."""
    path = cache / f"features-{_key(frozen, data, split, spec, 'as they are')}" / "features.npy"
    return np.load(path) if path.exists() else None


def _view(
    frozen: Any, data: PreparedData, split: str, spec: ImageInput, view: str, cache: Path, progress: Progress
) -> NDArray[np.float32]:
    folder = cache / f"features-{_key(frozen, data, split, spec, view)}"
    if not (folder / "features.npy").exists():
        with written_aside(folder) as aside:
            np.save(aside / "features.npy", _compute(frozen, getattr(data, split), view, progress))
    loaded: NDArray[np.float32] = np.load(folder / "features.npy")
    return loaded


def _key(frozen: Any, data: PreparedData, split: str, spec: ImageInput, view: str) -> str:
    probe = np.random.default_rng(0).integers(0, 256, (2, spec.height, spec.width, spec.channels), np.uint8)
    answer = np.asarray(_ask(frozen, probe), np.float32)
    return hashlib.sha256(f"{data.key} {split} {view} ".encode() + answer.tobytes()).hexdigest()[:24]


def _compute(frozen: Any, examples: Examples, view: str, progress: Progress) -> NDArray[np.float32]:
    pixels = examples.inputs
    assert isinstance(pixels, np.ndarray), "only pictures have a frozen part"
    done: list[NDArray[np.float32]] = []
    answer = tf.function(lambda batch: _ask(frozen, batch), reduce_retracing=True)
    with progress.steps(f"Features, {view}", len(examples)) as advance:
        for start in range(0, len(examples), _BATCH):
            batch = np.asarray(pixels[start : start + _BATCH])
            done.append(np.asarray(answer(batch[:, :, ::-1] if view == "mirrored" else batch), np.float32))
            advance(len(batch))
    return np.concatenate(done)


def _ask(frozen: Any, batch: Any) -> Any:
    """On one device, also where the part belongs to a model that learns on several."""
    return frozen([batch] if isinstance(frozen.input, list) else batch, training=False)
