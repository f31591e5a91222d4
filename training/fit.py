"""The one loop in which networks learn, and the one in which they answer.

A recipe says what and how; here stands which phases that makes, `phase.py` runs each. `batches.py` deals the
examples, `features.py` keeps what a frozen part makes of them. What comes out is the fitted model and the
history of its epochs.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, Input
from serving.errors import BadInput
from training import features, phase, regression
from training.batches import Batches
from training.interruption import Interruption
from training.learning import Augment
from training.phase import Course, Phase
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.recipe import Examples, FineTune, Recipe, Split
from training.steps import Learner, crossentropy
from training.strategies import Strategy, open_strategy

_ANSWER_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fitting of one recipe: what the caller chose."""

    recipe: Recipe
    data: PreparedData
    seed: int
    cache: Path
    progress: Progress
    strategy: Strategy = field(default_factory=lambda: open_strategy("none"))
    folder: Path | None = None
    """Of checkpoints and logs; None: nothing is written."""
    stop: Interruption = field(default_factory=Interruption)
    phases: list[Phase] = field(default_factory=list)
    """Filled as they end."""


def fit(model: Any, run: Run) -> None:
    """Fit the model in place, by its recipe; the phases go into the run.

    Where the run's folder has checkpoints, it goes on from them.

    Raises:
        BadInput: the loss is not a number any more, or an option cannot have an effect.
        Stopped: someone asked to stop; the run can go on.
    """
    split = run.recipe.split(model) if run.recipe.split else None
    if split is None:
        _phase("training", model, run, run.data.train, run.data.validation, run.recipe)
        return
    if run.recipe.augment != Augment(flip=run.recipe.augment.flip) and not run.recipe.fine_tune:
        raise BadInput(
            f"{run.recipe.name} learns from what its backbone makes of each picture once: of all augmentation "
            "only --flip can be had without fine-tuning"
        )
    train, validation = (_features(split, run, name) for name in ("train", "validation"))
    _phase("head", split.head, run, train, validation, replace(run.recipe, augment=Augment()))
    if run.recipe.fine_tune:
        _fine_tune(model, split, run, run.recipe.fine_tune)


def _features(split: Split, run: Run, name: str) -> Examples:
    spec, flip = run.recipe.input, run.recipe.augment.flip and name == "train"
    assert isinstance(spec, ImageInput), "only pictures have a frozen part"
    return features.of_split(split.frozen, run.data, name, spec, flip=flip, cache=run.cache, progress=run.progress)


def _fine_tune(model: Any, split: Split, run: Run, how: FineTune) -> None:
    """Let the backbone's last layers learn too; undone if the validation loss does not gain by it."""
    before, weights = _end(run), model.get_weights()
    split.backbone.trainable = True
    for place, layer in enumerate(reversed(split.backbone.layers)):
        layer.trainable = place < how.layers and not isinstance(layer, keras.layers.BatchNormalization)
    recipe = replace(run.recipe, learning_rate=how.learning_rate, epochs=how.epochs, weight_decay=0.0)
    _phase("fine-tuning", model, run, run.data.train, run.data.validation, recipe)
    if _end(run) >= before:
        model.set_weights(weights)
        run.phases[-1] = replace(run.phases[-1], kept=False)


def _end(run: Run) -> float:
    """The validation loss of the weights that the last phase ended with."""
    losses = run.phases[-1].epochs["val_loss"]
    return min(losses) if run.recipe.restore_best else losses[-1]


def _phase(name: str, model: Any, run: Run, train: Examples, validation: Examples, recipe: Recipe) -> None:
    classes, replicas = bool(run.data.labels), run.strategy.replicas
    if recipe.batch_size < replicas:
        raise BadInput(f"a batch of {recipe.batch_size} cannot be spread over {replicas} devices: --batch-size")
    if recipe.label_smoothing and not classes:
        raise BadInput(f"{recipe.name} answers a number, and label smoothing is for labels")
    loss = crossentropy(recipe.label_smoothing) if classes else regression.loss(train.labels)
    learner = Learner(model, recipe, loss, run.strategy, classes=classes)
    course = Course(
        name=name,
        how=recipe,
        learn=Batches(train, recipe.input, recipe.batch_size, run.seed, recipe.augment, least=replicas),
        check=Batches(validation, recipe.input, _ANSWER_BATCH),
        measure="accuracy" if classes else "mae",
        folder=run.folder,
        writes=run.strategy.chief,
        progress=run.progress,
        stop=run.stop,
    )
    run.phases.append(phase.learn(course, learner))


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
