"""Networks for tables: scaling inside the graph, dense layers, labels or a number at the end.

What a row is scaled by is measured on the training split and becomes part of the exported graph, so
callers send the numbers as they have them.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.card import TableInput
from training.recipe import BuildContext


def build(context: BuildContext) -> Any:
    """Rows float32 [N, F] -> probabilities [N, C], or the value [N, 1] where the data has no labels.

    Settings: `scaling` (standard: mean 0 and deviation 1; minmax: from 0 to 1), `hidden` (units of each
    hidden layer; none: a linear model), `activation`, `l2` (on all kernels).
    """
    assert isinstance(context.input, TableInput), "this network reads rows"
    settings = context.settings
    row = keras.Input((len(context.input.columns),), dtype="float32", name="row")
    factor, offset = _scaling(np.asarray(context.train.inputs), settings.get("scaling", "standard"))
    values = keras.layers.Rescaling(factor, offset, name="scaled")(row)
    for units in settings.get("hidden", ()):
        values = _dense(units, settings, activation=settings.get("activation", "relu"))(values)
    if context.labels:
        return keras.Model(
            row, _dense(len(context.labels), settings, activation="softmax", name="probabilities")(values)
        )
    answers = context.train.labels
    spread = float(answers.std()) or 1.0
    value = _dense(1, settings)(values)
    return keras.Model(row, keras.layers.Rescaling(spread, float(answers.mean()), name="value")(value))


def _dense(units: int, settings: Any, **options: Any) -> Any:
    return keras.layers.Dense(units, kernel_regularizer=keras.regularizers.L2(settings.get("l2", 0.0)), **options)


def _scaling(rows: NDArray[np.float32], how: str) -> tuple[list[float], list[float]]:
    """Factor and offset of every column; a column of one value alone becomes 0."""
    wide = rows.astype(np.float64)
    low, spread = (wide.mean(0), wide.std(0)) if how == "standard" else (wide.min(0), np.ptp(wide, axis=0))
    factor = 1.0 / np.where(spread > 0, spread, 1.0)
    return factor.tolist(), (-low * factor).tolist()
