"""Versions of one model on the same test split: a candidate against the one that serves, or any two.

It finds the versions and prepares the data as each card wants it; `comparison.py` asks both, and
`gate.py` judges.
"""

from pathlib import Path

from serving import repository
from serving.card import ModelCard
from serving.errors import BadInput, NoCard, NotFound, ServingError
from training import comparison, datasets, gate, versions
from training.comparison import Contender, Incomparable
from training.export import Gate
from training.gate import Verdict
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.sources import Source


def find_card(models: Path, name: str, version: int | None) -> tuple[Path, ModelCard]:
    """The folder and the card of a published version, the newest if none is named.

    Raises:
        NotFound: no such model or version.
        NoCard: it has no card, so nobody knows what it should answer.
    """
    there = repository.folders(models / name)
    number = max(there, default=None) if version is None else version
    if number is None or number not in there:
        wanted = name if version is None else f"version {version} of {name}"
        raise NotFound(
            f"there is no {wanted} in {models}; it holds {', '.join(repository.models(models)) or 'nothing'}"
        )
    if (card := repository.read_card(there[number])) is None:
        raise NoCard(f"version {number} of {name} has no card: `python -m training import` makes one")
    return there[number], card


def gate_of(models: Path, data: PreparedData, source: Source, cache: Path, progress: Progress) -> Gate:
    """A gate for candidates that come from this data: what `export.publish` asks."""

    def judge(folder: Path, card: ModelCard) -> Verdict:
        serving = versions.serving_version(models / card.name)
        if serving is None:
            return Verdict(None, remark="there is no version yet that it could be compared with")
        try:
            other, other_card = find_card(models, card.name, serving)
            if reason := gate.incomparable(other_card, card):
                return Verdict(serving, remark=f"not compared: {reason}")
            progress.say(f"Comparing with version {serving}, which serves now")
            before = _contender(other, other_card, source, cache, progress)
        except ServingError as error:
            return Verdict(serving, remark=f"not compared with version {serving}: {error.message}")
        try:
            return _judged(before, Contender(folder, card, data.test, data.labels), serving)
        except Incomparable as error:
            return Verdict(serving, remark=f"not compared: {error.message}")

    return judge


def compare(
    models: Path, name: str, numbers: tuple[int, int], source: Source, cache: Path, progress: Progress
) -> Verdict:
    """Hold the second version against the first.

    Raises:
        ServingError: a version is not there or cannot be loaded, or they cannot be compared on this data.
    """
    (first, first_card), (second, second_card) = (find_card(models, name, number) for number in numbers)
    if reason := gate.incomparable(first_card, second_card):
        raise BadInput(f"versions {numbers[0]} and {numbers[1]} of {name} cannot be compared: {reason}")
    before = _contender(first, first_card, source, cache, progress)
    return _judged(before, _contender(second, second_card, source, cache, progress), numbers[0])


def _contender(folder: Path, card: ModelCard, source: Source, cache: Path, progress: Progress) -> Contender:
    labels = tuple(sorted(card.labels))  # as data has them; an imported model may have another order
    data = datasets.load(source, card.input, network=card.name, labels=labels, cache=cache, progress=progress)
    if data.sha256 != card.dataset.sha256:
        raise BadInput(f"this is not the data that version {card.version} was measured on: give the same again")
    return Contender(folder, card, data.test, data.labels)


def _judged(before: Contender, after: Contender, serving: int) -> Verdict:
    if list(before.test.names) != list(after.test.names):
        raise Incomparable("some test examples can be read for one version and not for the other")
    return gate.judge(comparison.compare(before, after), serving)
