"""How good a model that answers a number is, and what it minimizes while it learns.

The counterpart of `quality.py` and `assessment.py` for tables whose target is a number.
"""

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.card import RegressionQuality
from training.assessment import Assessment, Subject
from training.run_folder import Answers, RunFolder


def measure(values: NDArray[Any], targets: NDArray[Any]) -> RegressionQuality:
    """Compare answers with the truth.

    Args:
        values: float [N] or [N, 1], what the model answers.
        targets: float [N].

    Returns:
        Mean absolute error, root mean squared error, and R2 = 1 - squared error / variance (0 where the targets
        are all the same).
    """
    wide = targets.astype(np.float64)
    errors = values.astype(np.float64).reshape(-1) - wide
    squared, variance = float((errors**2).mean()), float(wide.var())
    return RegressionQuality(
        examples=len(wide),
        mae=float(np.abs(errors).mean()),
        rmse=squared**0.5,
        r2=1 - squared / variance if variance else 0.0,
    )


def loss(targets: NDArray[Any]) -> Any:
    """Squared error in units of the targets' variance, so that learning rate and L2 mean the same for every unit.

    Args:
        targets: of the training split, float [N].
    """
    variance = float(targets.var()) or 1.0

    def squared_error(truth: Any, values: Any) -> Any:
        wanted = keras.ops.cast(keras.ops.reshape(truth, (-1, 1)), values.dtype)
        return keras.ops.mean(keras.ops.square(values - wanted), axis=-1) / variance

    return squared_error


def judged(subject: Subject, folder: RunFolder) -> Assessment:
    """Judge a fitted network, values [N, 1], and name its output; the test split is looked at here alone.

    Its answers and figures are kept in the folder of the run.
    """
    data = subject.data
    answers = {}
    for split, examples in (("validation", data.validation), ("test", data.test)):
        values = np.asarray(subject.model.predict_on_batch(np.asarray(examples.inputs)), np.float32).reshape(-1)
        answers[split] = values
        folder.write_answers(split, Answers(values, examples.labels, examples.names))
    found = measure(answers["test"], data.test.labels)
    folder.update(figures=asdict(found))
    flat = keras.layers.Reshape((), name="flat")(subject.model.outputs[0])
    return Assessment(
        model=keras.Model(subject.model.inputs[0], {"value": flat}),
        quality=None,
        regression=found,
        anomaly_threshold=None,
        validation=answers["validation"],
        test=answers["test"],
        unscaled=answers["test"],
        scores={},
    )
