"""How good a recipe gets with fewer training examples: what more of them would bring, and what not.

The same recipe learns from an eighth, a quarter, a half and all of the training split, with several
seeds; validation and test split stay whole. Nothing is exported. `python -m training learning-curve` asks.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serving.repository import write_whole
from training import calibration, datasets, fit, fitting, plots, quality
from training.order import Order
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.recipe import Examples, RaggedIds
from training.strategies import open_strategy

SHARES = (0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """What came of one size; one value a seed."""

    examples: int
    accuracy: tuple[float, ...]
    calibration_error: tuple[float, ...]
    """After scaling by a temperature of its own."""
    log_loss: tuple[float, ...]


def measure(order: Order, seeds: Sequence[int], progress: Progress, shares: Sequence[float] = SHARES) -> list[Point]:
    """Train at every size with every seed and measure each on the test split.

    Raises:
        ServingError: the data or the options will not do.
    """
    source = datasets.open_source(order.recipe.source, order.choice)
    recipe = replace(order.recipe, input=datasets.input_of(order.recipe.input, source))
    order = replace(order, recipe=recipe)
    whole = datasets.load(
        source, recipe.input, network=recipe.name, labels=recipe.labels, cache=order.cache, progress=progress
    )
    points = []
    for share in shares:
        data = _with_fewer(whole, share)
        found = [_one(replace(order, seed=seed), data, progress) for seed in seeds]
        points.append(Point(len(data.train), *zip(*found, strict=True)))
    return points


def _one(order: Order, data: PreparedData, progress: Progress) -> tuple[float, float, float]:
    """Accuracy, calibration error and log loss of one fitting."""
    keras.backend.clear_session()
    progress.say(f"{len(data.train)} examples, seed {order.seed}")
    model, _ = fitting.fitted(order, data, progress, open_strategy(order.recipe.strategy), None)
    checked, asked = (fit.answers(model, split, order.recipe.input, progress) for split in (data.validation, data.test))
    temperature = calibration.fit_temperature(checked, data.validation.labels)
    found = quality.measure(calibration.scaled(asked, temperature), data.test.labels)
    return found.accuracy, found.calibration_error, found.log_loss


def _with_fewer(data: PreparedData, share: float) -> PreparedData:
    """The data with that share of every class's training examples, the same in every run."""
    if share >= 1:
        return data
    labels, random = data.train.labels, np.random.default_rng(0)
    order = random.permutation(len(labels))
    groups = [order[labels[order] == label] for label in np.unique(labels)]
    rows = np.sort(np.concatenate([group[: max(1, round(share * len(group)))] for group in groups]))
    return replace(data, train=_chosen(data.train, rows), key=f"{data.key}-{len(rows)}")


def _chosen(examples: Examples, rows: NDArray[Any]) -> Examples:
    names = [examples.names[row] for row in rows]
    if not isinstance(examples.inputs, RaggedIds):
        return Examples(np.asarray(examples.inputs[rows]), examples.labels[rows], names)
    ids, offsets = examples.inputs.ids, examples.inputs.offsets
    parts = [np.asarray(ids[offsets[row] : offsets[row + 1]]) for row in rows]
    ends = np.cumsum([0, *(len(part) for part in parts)]).astype(np.int64)
    return Examples(RaggedIds(np.concatenate(parts), ends), examples.labels[rows], names)


def _draw(figure: Figure, file: BinaryIO) -> None:
    file.write(plots.written(figure))


def write(points: Sequence[Point], folder: Path, name: str) -> Path:
    """Keep the figures as JSON and draw them; returns the plot of the accuracy."""
    document = json.dumps([asdict(point) for point in points], indent=1) + "\n"
    write_whole(folder / "learning-curve.json", lambda file: file.write(document.encode()))
    counts = [point.examples for point in points]
    for measure_name, title in (("accuracy", "accuracy"), ("calibration_error", "calibration error")):
        rows = [
            (float(np.mean(values)), min(values), max(values)) for values in (getattr(p, measure_name) for p in points)
        ]
        figure = plots.sizes(counts, {f"{title} on the test split": rows}, name)
        write_whole(folder / f"learning-curve-{measure_name}.png", partial(_draw, figure))
    return folder / "learning-curve-accuracy.png"
