"""Two versions asked the same test examples by the code that serves them, and their CPU time in turns.

`gate.py` judges what is found here; `python -m training compare` prints it.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ModelCard, Quality
from serving.errors import FailedPrecondition, ServingError
from serving.modelserver.runtimes.choice import load
from serving.modelserver.runtimes.protocol import LoadedModel
from training import fit, quality
from training.recipe import Examples

_ROUNDS = 9
_ROUND_S = 0.1
"""CPU seconds that a round of one version takes, about."""
_ROWS = 8


class Incomparable(FailedPrecondition):
    """There is nothing to compare with: the fault of the version that serves, or of its data."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A version and the test split as its card prepares it."""

    folder: Path
    card: ModelCard
    test: Examples
    labels: tuple[str, ...]
    """What `test.labels` counts; the card may have another order."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one version answered."""

    quality: Quality
    right: NDArray[np.bool_]
    """[N], example by example, in the order of the split."""
    truth: NDArray[Any]
    """[N], by the card's order of labels."""
    cpu_ms: float
    """User and system time of one example alone, median of the rounds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions on the same examples."""

    first: Found
    second: Found
    labels: tuple[str, ...]
    cpu_ratio: float
    """Second by first, median of the rounds' ratios."""


def compare(first: Contender, second: Contender) -> Comparison:
    """Load both, ask both about every test example, and time both in turns.

    Raises:
        Incomparable: the first cannot be loaded.
        ServingError: the second cannot.
    """
    try:
        loaded = load(first.folder)
    except ServingError as error:
        raise Incomparable(f"version {first.card.version} cannot be loaded: {error.message}") from error
    with closing(loaded) as one, closing(load(second.folder)) as other:
        answers = [_answers(one, first), _answers(other, second)]
        times = _times(_single(one, first), _single(other, second))
    found = [
        Found(quality.measure(said, truth), said.argmax(axis=1) == truth, truth, float(np.median(spent) * 1000))
        for (said, truth), spent in zip(answers, times.T, strict=True)
    ]
    return Comparison(found[0], found[1], second.card.labels, float(np.median(times[:, 1] / times[:, 0])))


def _signature(card: ModelCard) -> str:
    return card.signatures.get("prepared", card.signatures["default"])


def _answers(model: LoadedModel, who: Contender) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities [N, C] and truths [N], by the card's order of labels."""
    signature = _signature(who.card)
    alias = next(iter(model.signatures[signature].inputs))
    batches = fit.batches_of(who.test, who.card.input)
    said = [model.run(signature, {alias: batch}, ["probabilities"])["probabilities"] for batch in batches]
    places = np.array([who.card.labels.index(label) for label in who.labels])
    return np.concatenate(said), places[who.test.labels]


def _single(model: LoadedModel, who: Contender) -> Callable[[], None]:
    """Asks about a few examples, one by one."""
    signature = _signature(who.card)
    alias = next(iter(model.signatures[signature].inputs))
    rows = range(min(_ROWS, len(who.test)))
    singles = [np.asarray(who.test.batch([row], who.card.input)) for row in rows]

    def ask() -> None:
        for single in singles:
            model.run(signature, {alias: single})

    return ask


def _times(*asks: Callable[[], None]) -> NDArray[np.float64]:
    """CPU seconds of one example, [rounds, versions]; every other round is run in reverse order.

    CPU time of this process, all threads, because other work on the machine stretches the clock on the wall.
    """
    repeats = []
    for ask in asks:
        ask()  # the first run of a shape compiles
        begun = time.process_time()
        ask()
        repeats.append(max(1, round(_ROUND_S / max(time.process_time() - begun, 1e-4))))
    times = np.zeros((_ROUNDS, len(asks)))
    for turn in range(_ROUNDS):
        order = range(len(asks)) if turn % 2 == 0 else reversed(range(len(asks)))
        for place in order:
            begun = time.process_time()
            for _ in range(repeats[place]):
                asks[place]()
            times[turn, place] = (time.process_time() - begun) / repeats[place] / _ROWS
    return times
