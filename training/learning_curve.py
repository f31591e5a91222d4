"""How good a recipe gets with fewer training examples: what more of them would bring, and what not.

The same recipe learns from an eighth, a quarter, a half and all of the training split, with several
seeds; validation and test split stay whole. Nothing is exported. `python -m training learning-curve` asks,
`curve_page.py` keeps what is found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from training import calibration, fit, fitting, quality, regression, session
from training.order import Order
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.recipe import Examples, RaggedIds
from training.strategies import Strategy

SHARES = (0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """What came of one size."""

    examples: int
    found: Mapping[str, tuple[float, ...]]
    """Measure to one value a seed: accuracy, calibration_error (after scaling by a temperature of its own) and
    log_loss; mae, rmse and r2 of a number."""


def measure(
    order: Order, seeds: Sequence[int], progress: Progress, shares: Sequence[float] = SHARES
) -> Iterator[Point]:
    """Train at every size with every seed and measure each on the test split; a size is given out when it is done.

    Raises:
        ServingError: the data or the options will not do.
        Stopped: someone asked to stop; sizes that were given out stay.
    """
    if order.recipe.strategy == "multi-worker" or order.recipe.log_devices:
        raise BadInput("a learning curve is one process's work and keeps no run: no multi-worker, no --log-devices")
    order, strategy, _, whole = session.prepared(order, progress)
    for number, share in enumerate(shares):
        data = _with_fewer(whole, share)
        found = []
        for place, seed in enumerate(seeds, number * len(seeds) + 1):
            progress.say(f"Fitting {place} of {len(shares) * len(seeds)}: {len(data.train)} examples, seed {seed}")
            found.append(_one(replace(order, seed=seed), data, strategy, progress))
        yield Point(len(data.train), {name: tuple(one[name] for one in found) for name in found[0]})


def _one(order: Order, data: PreparedData, strategy: Strategy, progress: Progress) -> dict[str, float]:
    """The measures of one fitting."""
    keras.backend.clear_session()
    model, _ = fitting.fitted(order, data, progress, strategy, None)
    asked = fit.answers(model, data.test, order.recipe.input, progress)
    if not data.labels:
        values = regression.measure(asked, data.test.labels)
        return {"mae": values.mae, "rmse": values.rmse, "r2": values.r2}
    checked = fit.answers(model, data.validation, order.recipe.input, progress, "Answering, validation")
    temperature = calibration.fit_temperature(checked, data.validation.labels)
    found = quality.measure(calibration.scaled(asked, temperature), data.test.labels)
    return {
        "accuracy": found.accuracy,
        "calibration_error": found.calibration_error,
        "log_loss": found.log_loss,
    }


def _with_fewer(data: PreparedData, share: float) -> PreparedData:
    """The data with that share of the training examples, of every class where there are any; the same in every run."""
    if share >= 1:
        return data
    kinds = data.train.labels if data.labels else np.zeros(len(data.train))
    order = np.random.default_rng(0).permutation(len(kinds))
    groups = [order[kinds[order] == kind] for kind in np.unique(kinds)]
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
