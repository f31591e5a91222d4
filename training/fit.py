"""The one loop in which networks learn, and the one in which they answer.

A recipe says what and how; `batches.py` deals the examples, `features.py` keeps what a frozen
part makes of them. What comes out is the fitted model and the history of its epochs.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, Input
from serving.errors import BadInput
from training import features, regression
from training.batches import Batches
from training.prepared_cache import PreparedData
from training.progress import Advance, Progress
from training.recipe import Examples, FineTune, Recipe, Split

_ANSWER_BATCH = 64


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of learning: its name and the measures of every epoch."""

    name: str
    epochs: dict[str, list[float]]
    """loss, accuracy, val_loss, val_accuracy (mae, val_mae of a number); one value an epoch."""
    kept: bool = True
    """False: the phase made nothing better on the validation split and was undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fitting of one recipe: what the caller chose."""

    recipe: Recipe
    data: PreparedData
    seed: int
    cache: Path
    progress: Progress
    phases: list[Phase] = field(default_factory=list)
    """Filled as they end."""


def fit(model: Any, run: Run) -> None:
    """Fit the model in place, by its recipe; the phases go into the run.

    Raises:
        BadInput: the loss is not a number any more.
    """
    split = run.recipe.split(model) if run.recipe.split else None
    if split is None:
        _phase("training", model, run, run.data.train, run.data.validation, run.recipe)
        return
    train, validation = (_features(split, run, name) for name in ("train", "validation"))
    _phase("head", split.head, run, train, validation, replace(run.recipe, augment=_none(run.recipe)))
    if run.recipe.fine_tune:
        _fine_tune(model, split, run, run.recipe.fine_tune)


def _features(split: Split, run: Run, name: str) -> Examples:
    spec, flip = run.recipe.input, run.recipe.augment.flip and name == "train"
    assert isinstance(spec, ImageInput), "only pictures have a frozen part"
    return features.of_split(split.frozen, run.data, name, spec, flip=flip, cache=run.cache, progress=run.progress)


def _none(recipe: Recipe) -> Any:
    return type(recipe.augment)()


def _fine_tune(model: Any, split: Split, run: Run, how: FineTune) -> None:
    """Let the backbone's last layers learn too; undone if the validation loss does not gain by it."""
    before, weights = min(run.phases[-1].epochs["val_loss"]), model.get_weights()
    split.backbone.trainable = True
    for place, layer in enumerate(reversed(split.backbone.layers)):
        layer.trainable = place < how.layers and not isinstance(layer, keras.layers.BatchNormalization)
    recipe = replace(run.recipe, learning_rate=how.learning_rate, epochs=how.epochs, weight_decay=0.0)
    _phase("fine-tuning", model, run, run.data.train, run.data.validation, recipe)
    if min(run.phases[-1].epochs["val_loss"]) >= before:
        model.set_weights(weights)
        run.phases[-1] = replace(run.phases[-1], kept=False)


def _phase(name: str, model: Any, run: Run, train: Examples, validation: Examples, recipe: Recipe) -> None:
    learn = Batches(train, recipe.input, recipe.batch_size, run.seed, recipe.augment)
    check = Batches(validation, recipe.input, _ANSWER_BATCH)
    loss, metric = (_loss(recipe), "accuracy") if run.data.labels else (regression.loss(train.labels), "mae")
    model.compile(_optimizer(recipe, len(learn)), loss=loss, metrics=[metric])
    best = keras.callbacks.EarlyStopping(
        patience=recipe.patience or recipe.epochs, restore_best_weights=recipe.restore_best
    )
    with run.progress.steps(f"{name.capitalize()}, {recipe.epochs} epochs", recipe.epochs * len(learn)) as advance:
        watch = [best, keras.callbacks.TerminateOnNaN(), _Watch(advance)]
        history = model.fit(learn, validation_data=check, epochs=recipe.epochs, verbose=0, callbacks=watch).history
    if not all(math.isfinite(value) for value in history["loss"]):
        raise BadInput(f"the loss of {recipe.name} is not a number any more: lower its learning rate")
    run.phases.append(Phase(name, {key: [float(value) for value in values] for key, values in history.items()}))


def _optimizer(recipe: Recipe, steps: int) -> Any:
    rate: Any = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps * recipe.epochs)
    kinds = keras.optimizers
    if recipe.optimizer == "adamw":
        return kinds.AdamW(rate, weight_decay=recipe.weight_decay)
    return {"adam": kinds.Adam, "rmsprop": kinds.RMSprop, "sgd": kinds.SGD}[recipe.optimizer](rate)


def _loss(recipe: Recipe) -> Any:
    if not recipe.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy()

    def smoothed(labels: Any, probabilities: Any) -> Any:
        truth = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32"), probabilities.shape[-1])
        return keras.losses.categorical_crossentropy(truth, probabilities, label_smoothing=recipe.label_smoothing)

    return smoothed


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Moves the progress bar."""

    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._advance()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs and "val_loss" in logs:
            right = f"accuracy {logs['val_accuracy']:.1%}" if "val_accuracy" in logs else f"mae {logs['val_mae']:.4g}"
            note = f"validation: loss {logs['val_loss']:.3f}, {right}"
            self._advance(0, note)


def batches_of(examples: Examples, spec: Input) -> list[NDArray[Any]]:
    """All network inputs of a split, in order."""
    batches = Batches(examples, spec, _ANSWER_BATCH)
    return [np.asarray(batches[index][0]) for index in range(len(batches))]


def answers(
    model: Any, examples: Examples, spec: Input, progress: Progress, what: str = "Testing"
) -> NDArray[np.float32]:
    """The model's probabilities for every example, float32 [N, C], or its values, [N, 1]."""
    batches = Batches(examples, spec, _ANSWER_BATCH)
    done: list[NDArray[np.float32]] = []
    with progress.steps(what, len(examples)) as advance:
        for index in range(len(batches)):
            said = model.predict_on_batch(batches[index][0])
            done.append(np.asarray(said["probabilities"] if isinstance(said, dict) else said, np.float32))
            advance(len(done[-1]))
    return np.concatenate(done)
