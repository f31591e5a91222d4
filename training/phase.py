"""One stretch of learning, epoch after epoch: rates, history, the best weights, checkpoints, an end on request.

`fit.py` says which phases a recipe has; `steps.py` makes the steps. Everything that decides how a phase goes
on is in its State, and the State is what a checkpoint holds.
"""

import math
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import BadInput
from training import checkpoints, placement
from training.batches import Batches
from training.checkpoints import Checkpoints, State
from training.event_log import EventLog
from training.interruption import Interruption, Stopped
from training.learning import Learning
from training.progress import Advance, Progress
from training.schedules import rate_at
from training.steps import Learner


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of learning: its name and the measures of every epoch."""

    name: str
    epochs: dict[str, list[float]]
    """loss, accuracy, val_loss, val_accuracy (mae, val_mae of a number), learning_rate; one value an epoch."""
    kept: bool = True
    """False: the phase made nothing better on the validation split and was undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a phase needs besides its learner."""

    name: str
    how: Learning
    learn: Batches
    check: Batches
    measure: str
    """`accuracy` or `mae`."""
    folder: Path | None = None
    """Of the run; None: nothing is written."""
    writes: bool = True
    """False for the workers that only read checkpoints."""
    progress: Progress
    stop: Interruption = field(default_factory=Interruption)


def learn(course: Course, learner: Learner) -> Phase:
    """Fit the learner's model in place, from the newest checkpoint on.

    Raises:
        BadInput: the loss is not a number any more.
        Stopped: someone asked; the checkpoint of the last epoch is written.
        OSError: no space for a checkpoint; those before are still there.
    """
    where = course.folder and Checkpoints(course.folder / "checkpoints" / course.name, writes=course.writes)
    state = (where.newest() if where else None) or State()
    if state.now:
        checkpoints.restore(learner.variables, state.now)
    steps, epochs = len(course.learn), course.how.epochs
    log = EventLog(course.folder / "tensorboard" / course.name if course.folder and course.writes else None)
    with closing(log), course.progress.steps(f"{course.name.capitalize()}, {epochs} epochs", epochs * steps) as advance:
        advance(state.done * steps)
        while not state.finished:
            measures = _epoch(course, learner, state.done, advance)
            asked = learner.agree(course.stop.asked)
            _take(state, measures, course.how, learner)
            log.write(state.done, measures)
            if where:
                where.save(state)
            if asked and not state.finished:
                raise Stopped(f"stopped after epoch {state.done} of {epochs} of the phase {course.name!r}")
    return Phase(course.name, state.epochs)


def _epoch(course: Course, learner: Learner, epoch: int, advance: Advance) -> dict[str, float]:
    """Learn from every batch once; the measures of the epoch."""
    course.learn.deal(epoch)
    total, close, seen, steps = 0.0, 0.0, 0, len(course.learn)
    rate = 0.0
    for step, (inputs, labels) in enumerate(course.learn):
        rate = rate_at(epoch * steps + step, course.how, steps)
        with _placement(course, epoch + step):
            loss, closeness = learner.learn(inputs, labels, rate)
        if not math.isfinite(loss):
            raise BadInput(f"the loss in epoch {epoch + 1} is not a number any more: lower the learning rate")
        total, close, seen = total + loss * len(labels), close + closeness, seen + len(labels)
        if step < steps - 1:
            advance()
    learner.level()
    checked, near = learner.check(course.check)
    said = f"accuracy {near:.1%}" if course.measure == "accuracy" else f"mae {near:.4g}"
    advance(1, f"validation: loss {checked:.3f}, {said}")
    return {
        "loss": total / seen,
        course.measure: close / seen,
        "val_loss": checked,
        f"val_{course.measure}": near,
        "learning_rate": rate,
    }


def _placement(course: Course, steps_before: int) -> AbstractContextManager[None]:
    """Of the very first step alone."""
    wanted = course.how.log_devices and course.folder and course.writes and not steps_before
    return placement.logged(course.folder / f"devices-{course.name}.txt") if wanted and course.folder else nullcontext()


def _take(state: State, measures: dict[str, float], how: Learning, learner: Learner) -> None:
    """Add an epoch to the state; at the end the best weights come back."""
    for name, value in measures.items():
        state.epochs.setdefault(name, []).append(value)
    if measures["val_loss"] < state.best_loss:
        state.best_loss, state.waited = measures["val_loss"], 0
        if how.restore_best:
            state.best = checkpoints.copied(learner.model.weights)
    else:
        state.waited += 1
    state.finished = state.done >= how.epochs or (how.patience is not None and state.waited >= how.patience)
    if state.finished and state.best and state.waited:
        checkpoints.restore(learner.model.weights, state.best)
    if state.finished:
        state.best = ()
    state.now = checkpoints.copied(learner.variables)
