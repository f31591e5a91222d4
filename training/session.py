"""One training session: a recipe and its data go in, a published version comes out.

    datasets -> recipe.build -> fit -> recipe.finish -> assessment -> export

`__main__.py` asks for it and prints what comes back; `run_folder.py` keeps what a report needs.
"""

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from serving import repository
from serving.card import Dataset, ModelCard, Quality
from serving.errors import BadInput
from training import (
    assessment,
    contest,
    datasets,
    evidence,
    export,
    fit,
    parity,
    quality,
    quantized,
    regression,
    report,
)
from training.assessment import Assessment
from training.datasets import SourceChoice
from training.export import Candidate, Published
from training.phase import Phase
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.recipe import BuildContext, Recipe
from training.run_folder import RunFolder
from training.sources import Source


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the caller wants trained, and how."""

    recipe: Recipe
    choice: SourceChoice = field(default_factory=SourceChoice)
    name: str = ""
    """Of the published model; empty: the recipe's."""
    seed: int = 0
    backbone_weights: str = ""
    """Empty: the recipe's."""
    models: Path = Path("models")
    cache: Path = Path("data-cache")
    runs: Path = Path("runs")
    others: Path | None = None
    """A folder of photos of other things, to measure the anomaly score on."""
    force: bool = False
    """Publish also what is worse than the version that serves now."""
    int8: bool = False
    """Make, measure and judge an int8 form as well."""
    trial: bool = False
    """Train and export, but publish nothing."""


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


def train(order: Order, progress: Progress) -> Outcome:
    """Train, measure, export and publish.

    Raises:
        ServingError: the data, the weights or the result will not do; nothing is published.
        OSError: no space or no permission; nothing is published.
    """
    started = time.monotonic()
    repository.check_name(order.name or order.recipe.name)  # before the work, not after it
    if order.int8:
        quantized.check(order.recipe.input, order.recipe.name)
    source = datasets.open_source(order.recipe.source, order.choice)
    recipe = replace(order.recipe, input=datasets.input_of(order.recipe.input, source))
    order = replace(order, recipe=recipe)
    data = _load(recipe, source, order, progress)
    folder = _begin(order, data, source)
    model, run = _fitted(order, data, folder, progress)
    judged = _judged(order, model, data, source, folder, progress)
    progress.say(f"Report: {report.write(folder)}")
    progress.say("Exporting, loading back and comparing with Keras")
    details = _training_facts(order, run, time.monotonic() - started) | _baseline(order, data, progress)
    candidate = _candidate(order, judged, data, source, details)
    gate = contest.gate_of(order.models, data, source, order.cache, progress)
    published = export.publish(candidate, order.models, trial=order.trial, gate=gate, force=order.force)
    folder.update(
        status="done", published=str(published.folder.resolve()) if published.folder else None, gate=published.card.gate
    )
    return Outcome(
        published=published,
        model=judged.model,
        quality=judged.quality,
        phases=tuple(run.phases),
        unreadable=data.unreadable,
        folder=folder,
    )


def _begin(order: Order, data: PreparedData, source: Source) -> RunFolder:
    """The folder of the run, with all that is known before it learns."""
    name = order.name or order.recipe.name
    folder = RunFolder.create(order.runs, name, order.seed)
    folder.update(
        name=name,
        recipe=order.recipe.name,
        seed=order.seed,
        status="running",
        labels=list(data.labels),
        dataset=asdict(describe(data, source)),
        prepared=str(data.folder.resolve()),
        settings=dict(order.recipe.settings),
    )
    return folder


def _fitted(order: Order, data: PreparedData, folder: RunFolder, progress: Progress) -> tuple[Any, fit.Run]:
    """The model after all phases of learning, and what they came to."""
    recipe = order.recipe
    keras.utils.set_random_seed(order.seed)
    model = recipe.build(_context(order, data))
    check_outputs(model, data.labels, recipe.name)
    run = fit.Run(recipe=recipe, data=data, seed=order.seed, cache=order.cache, progress=progress)
    fit.fit(model, run)
    folder.update(phases=[asdict(phase) for phase in run.phases])
    return (recipe.finish(model) if recipe.finish else model), run


def _baseline(order: Order, data: PreparedData, progress: Progress) -> dict[str, Any]:
    """What a simpler network comes to on the validation split, for the card; nothing where the recipe names none."""
    recipe = order.recipe
    if recipe.baseline is None:
        return {}
    keras.utils.set_random_seed(order.seed)
    model = recipe.baseline(_context(order, data))
    run = fit.Run(recipe=recipe, data=data, seed=order.seed, cache=order.cache, progress=progress)
    fit.fit(model, run)
    name = (recipe.baseline.__doc__ or recipe.baseline.__name__).strip().rstrip(".")
    last = {key: round(values[-1], 5) for key, values in run.phases[-1].epochs.items() if key.startswith("val_")}
    return {"baseline": {"name": name, "parameters": model.count_params(), **last}}


def _judged(
    order: Order, model: Any, data: PreparedData, source: Source, folder: RunFolder, progress: Progress
) -> Assessment:
    """How good it is and how sure it may be; the answers are kept for the report."""
    subject = assessment.Subject(
        model=model, input=order.recipe.input, data=data, source=source, others=order.others, progress=progress
    )
    if not data.labels:
        return regression.judged(subject, folder)
    judged = assessment.assess(subject)
    evidence.keep(folder, judged, subject)
    return judged


def _load(recipe: Recipe, source: Source, order: Order, progress: Progress) -> PreparedData:
    return datasets.load(
        source, recipe.input, network=recipe.name, labels=recipe.labels, cache=order.cache, progress=progress
    )


def _context(order: Order, data: PreparedData) -> BuildContext:
    return BuildContext(
        input=order.recipe.input,
        labels=data.labels,
        train=data.train,
        seed=order.seed,
        backbone_weights=order.backbone_weights or order.recipe.backbone_weights,
        settings=order.recipe.settings,
        cache_dir=order.cache,
    )


def check_outputs(model: Any, labels: tuple[str, ...], name: str) -> None:
    """Refuse a network whose outputs are not one per label.

    Raises:
        BadInput: names the first label without an output, or says how many outputs are left over.
    """
    outputs = model.output_shape[-1]
    if not labels and outputs == 1:
        return
    if outputs < len(labels):
        raise BadInput(f"the label {labels[outputs]!r} has no output: {name} has {outputs} for {len(labels)} labels")
    if outputs > len(labels):
        raise BadInput(f"{name} has {outputs} outputs for {len(labels)} labels: the last label is {labels[-1]!r}")


def _training_facts(order: Order, run: fit.Run, seconds: float) -> dict[str, Any]:
    """How the version came to be, as JSON values, for its card."""
    recipe = order.recipe
    chosen = ("optimizer", "learning_rate", "schedule", "weight_decay", "label_smoothing", "epochs", "batch_size")
    weights = order.backbone_weights or recipe.backbone_weights
    return {
        "recipe": recipe.name,
        "seed": order.seed,
        **{name: getattr(recipe, name) for name in chosen},
        "settings": dict(recipe.settings),
        "backbone_weights": Path(weights).name,
        "phases": [
            {"name": phase.name, "kept": phase.kept, "epochs": len(phase.epochs["loss"])}
            | {name: round(values[-1], 5) for name, values in phase.epochs.items()}
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


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which published version to measure again, on which data."""

    name: str
    version: int | None = None
    """None: the newest."""
    recipe: Recipe | None = None
    """The one it came from, for its source; None where the version was imported."""
    choice: SourceChoice = field(default_factory=SourceChoice)
    models: Path = Path("models")
    cache: Path = Path("data-cache")


def evaluate(question: Question, progress: Progress) -> ModelCard:
    """The card of a published version as measured now on the test split, answered by the code that serves it.

    Raises:
        ServingError: no such version, or the data will not do.
    """
    folder, card = contest.find_card(question.models, question.name, question.version)
    spec = question.recipe.source if question.recipe else datasets.unknown_source(card.dataset.name)
    source = datasets.open_source(spec, question.choice)
    labels = tuple(sorted(card.labels))  # as data has them; an imported model may have another order
    data = datasets.load(source, card.input, network=card.name, labels=labels, cache=question.cache, progress=progress)
    with progress.steps("Testing", len(data.test)) as advance:
        answers = parity.serve(folder, fit.batches_of(data.test, card.input), card)
        advance(len(data.test))
    if not card.labels:
        return replace(card, regression=regression.measure(answers, data.test.labels))
    places = np.array([card.labels.index(label) for label in data.labels], np.int32)
    return replace(card, quality=quality.measure(answers, places[data.test.labels]))


def with_epochs(recipe: Recipe, epochs: int | None) -> Recipe:
    """The recipe with another number of epochs, if one is given."""
    return recipe if epochs is None else replace(recipe, epochs=epochs)
