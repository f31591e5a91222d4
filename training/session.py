"""One training session: a recipe and its data go in, a published version comes out.

    datasets -> fitting (build, fit, finish) -> assessment -> report -> export

`__main__.py` asks for it and prints what comes back; `run_folder.py` keeps what a report needs.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from serving import repository
from serving.card import Dataset, ImageInput, Quality
from serving.errors import BadInput, FailedPrecondition
from training import (
    assessment,
    contest,
    datasets,
    evidence,
    export,
    fit,
    fitting,
    foreign_examples,
    learning,
    parity,
    quantized,
    regression,
    report,
)
from training.assessment import Assessment
from training.export import Candidate, Published
from training.interruption import Stopped
from training.learning import settings_of
from training.order import Order as Order  # callers take it from here, with `train`
from training.order import options_of, to_json
from training.phase import Phase
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.run_folder import RunFolder
from training.sources import Source
from training.strategies import Strategy, open_strategy


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    published: Published
    model: Any
    """keras.Model: what was exported, as Keras has it; its outputs by name."""
    quality: Quality | None
    """None of a model that answers a number; the card has its `regression`."""
    phases: tuple[Phase, ...]
    unreadable: tuple[str, ...]
    folder: RunFolder


def train(order: Order, progress: Progress, folder: RunFolder | None = None) -> Outcome:
    """Train, measure, export and publish.

    Args:
        order: what to train, and how.
        progress: where to show it.
        folder: of a run that goes on; None begins one.

    Raises:
        ServingError: the data, the options, the weights or the result will not do; nothing is published.
        Stopped: someone asked to stop while it learned; `resume` goes on.
        OSError: no space or no permission; nothing is published.
    """
    started = time.monotonic()
    order, strategy, source, data = prepared(order, progress)
    folder = _begun(order, data, source, folder)
    with _end_told(folder):
        model, run = fitting.fitted(order, data, progress, strategy, folder)
        folder.update(phases=[asdict(phase) for phase in run.phases])
        if order.recipe.strategy == "multi-worker":
            progress.say("The other workers are done and end; where TensorFlow calls them unhealthy, it means that")
        judged = _judged(order, model, data, source, folder, progress)
        progress.say(f"Report: {report.write(folder)}")
        details = _training_facts(order, run, time.monotonic() - started) | fitting.baseline(order, data, progress)
        progress.say("Exporting, loading back and comparing with Keras")
        candidate = _candidate(order, judged, data, source, details)
        gate = contest.gate_of(order.models, data, source, order.cache, progress)
        published = export.publish(candidate, order.models, trial=order.trial, gate=gate, force=order.force)
    _close(folder, published, progress)
    return Outcome(
        published=published,
        model=judged.model,
        quality=judged.quality,
        phases=tuple(run.phases),
        unreadable=data.unreadable,
        folder=folder,
    )


def assist(order: Order, progress: Progress, folder: RunFolder | None = None) -> None:
    """Learn as one of several workers; the chief alone measures, exports and publishes.

    Args:
        order: the same that the chief has.
        progress: where to show it.
        folder: of a run that goes on, where this process can read it; the chief writes it.

    Raises:
        ServingError, Stopped, OSError: as `train`.
    """
    order, strategy, _, data = prepared(order, progress)
    fitting.fitted(order, data, progress, strategy, folder)


def prepared(order: Order, progress: Progress) -> tuple[Order, Strategy, Source, PreparedData]:
    """What can be refused before the work is refused here; then the devices and the data are there.

    Raises:
        ServingError: the data, the options or the devices will not do.
        OSError: no space or no permission.
    """
    recipe = order.recipe
    repository.check_name(order.model_name)
    settings_of(recipe.name, recipe, dict(recipe.settings))
    learning.check(recipe.name, recipe, pictures=isinstance(recipe.input, ImageInput))
    _check_pictures(order)
    source = datasets.open_source(recipe.source, order.choice)
    if recipe.strategy == "multi-worker":
        progress.say("Waiting until all workers of TF_CONFIG are there")
    strategy = open_strategy(recipe.strategy)
    recipe = replace(recipe, input=datasets.input_of(recipe.input, source))
    data = datasets.load(
        source, recipe.input, network=recipe.name, labels=recipe.labels, cache=order.cache, progress=progress
    )
    return replace(order, recipe=recipe), strategy, source, data


def _check_pictures(order: Order) -> None:
    """Refuse what only a network of pictures, or only one with a backbone, has a use for."""
    recipe = order.recipe
    if order.int8:
        quantized.check(recipe.input, recipe.name)
    if order.others is not None:
        foreign_examples.check(order.others, recipe.input, recipe.name)
    if order.backbone_weights not in {"", "none"} and recipe.split is None:
        raise BadInput(f"{recipe.name} has no backbone to give weights to: leave --backbone-weights out")


def _begun(order: Order, data: PreparedData, source: Source, folder: RunFolder | None) -> RunFolder:
    """The folder of the run, with all that is known before it learns.

    Raises:
        FailedPrecondition: it was to go on and is done, or its data is not what it was.
    """
    prepared = str(data.folder.resolve())
    before = folder.read() if folder else {"status": "new", "prepared": prepared}
    if folder and before["status"] == "done":
        raise FailedPrecondition(f"{folder.path} is done, there is nothing to go on with")
    if before["prepared"] != prepared:
        raise FailedPrecondition("the data or its preparation changed since the run began: train anew")
    folder = folder or RunFolder.create(order.runs, order.model_name, order.seed)
    folder.update(
        name=order.model_name,
        recipe=order.recipe.name,
        seed=order.seed,
        status="running",
        failure=None,
        order=to_json(order),
        options=options_of(order.recipe),
        labels=list(data.labels),
        dataset=asdict(describe(data, source)),
        prepared=prepared,
        settings=dict(order.recipe.settings),
    )
    return folder


@contextlib.contextmanager
def _end_told(folder: RunFolder) -> Iterator[None]:
    """What ends a run early stands in its folder; where going on helps, the error says how."""
    way = f"to go on: python -m training resume {folder.path}"
    try:
        yield
    except (Stopped, KeyboardInterrupt) as stop:
        stop.add_note(way)
        folder.update(status="stopped")
        raise
    except Exception as error:  # raised again: whatever it was, the folder must say so
        if isinstance(error, OSError):
            error.add_note(way)
        with contextlib.suppress(OSError):  # the disk may be what is full
            folder.update(status="failed", failure=str(error) or type(error).__name__)
        raise


def _close(folder: RunFolder, published: Published, progress: Progress) -> None:
    """Say in the folder how it ended; a disk that has filled up by now takes nothing back."""
    place = str(published.folder.resolve()) if published.folder else None
    try:
        folder.update(status="done", published=place, gate=published.card.gate)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    except OSError as error:
        progress.say(f"All is done, but {folder.path} could not be brought up to date: {error}")


def _judged(
    order: Order, model: Any, data: PreparedData, source: Source, folder: RunFolder, progress: Progress
) -> Assessment:
    """How good it is and how sure it may be; the answers are kept for the report."""
    subject = assessment.Subject(
        model=model, input=order.recipe.input, data=data, source=source, others=order.others, cache=order.cache,
        progress=progress,
    )  # fmt: skip
    if not data.labels:
        return regression.judged(subject, folder)
    judged = assessment.assess(subject)
    evidence.keep(folder, judged, subject)
    return judged


def _training_facts(order: Order, run: fit.Run, seconds: float) -> dict[str, Any]:
    """How the version came to be, as JSON values, for its card."""
    recipe = order.recipe
    return {
        "recipe": recipe.name,
        "seed": order.seed,
        **options_of(recipe),
        "settings": settings_of(recipe.name, recipe, dict(recipe.settings)),
        "backbone_weights": fitting.weights_name(order),
        **({"target": order.choice.target} if order.choice.target else {}),
        "phases": [
            {"name": phase.name, "kept": phase.kept, "epochs": len(phase.epochs["loss"])}
            | {name: float(f"{values[-1]:.5g}") for name, values in phase.epochs.items()}
            for phase in run.phases
        ],
        "seconds": round(seconds, 1),
    }


def _candidate(
    order: Order, judged: Assessment, data: PreparedData, source: Source, details: dict[str, Any]
) -> Candidate:
    recipe = order.recipe
    return Candidate(
        name=order.name or recipe.name,
        model=judged.model,
        task=recipe.task,
        labels=data.labels,
        input=recipe.input,
        dataset=describe(data, source),
        quality=judged.quality,
        regression=judged.regression,
        anomaly_threshold=judged.anomaly_threshold,
        batches=parity.spread(data, recipe.input),
        originals=data.originals,
        int8=quantized.pictures(data, recipe.input, data.labels) if order.int8 else None,
        training=details,
        licence=recipe.licence,
        limits=recipe.limits,
    )


def describe(data: PreparedData, source: Source) -> Dataset:
    """The data set, for a card."""
    sizes = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
    return Dataset(name=source.dataset, source=source.kind, sha256=data.sha256, **sizes)
