"""A published version measured again on its test split, answered by the code that serves it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from serving.card import ModelCard
from training import contest, datasets, fit, parity, quality, regression
from training.datasets import SourceChoice
from training.progress import Progress
from training.recipe import Recipe


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
    """The card of a published version as measured now.

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
