"""Client: what HttpClient and GrpcClient have in common.

A protocol says how to ask about a handful of items (`_ask`), this room does the rest: groups,
bounded concurrency, retries inside the deadline, order, and which failure belongs to which item.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from clients.answers import Classification, ModelStatus, Value
from clients.fan_out import groups, in_order
from clients.retries import persevere
from serving.card import ModelCard, Task
from serving.errors import BadInput, ServingError

T = TypeVar("T")

Outcome = Classification | ServingError
Picture = bytes | Path
Row = Mapping[str, float] | Sequence[float] | NDArray[Any]
"""Numbers by the names of the card's columns, or all of them in their order."""
Item = bytes | str | Mapping[str, float] | Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files of a TLS connection; all may be missing."""

    ca: Path | None = None
    """Whom to trust; None: whom this machine trusts."""
    certificate: Path | None = None
    """Chain to show to the server, together with `key`."""
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every item."""

    task: Task
    model: str | None = None
    """None: the first model of the task."""
    version: int | None = None
    """None: the newest that is available."""
    top: int = 5


class Client(ABC):
    """Asks one server. Safe to use from many threads; close it, or use it as a context manager.

    Args:
        timeout_s: longest wait for one answer, retries included.
        attempts: how often one request is sent at most.
        concurrency: requests under way at a time when many items are asked about.
    """

    group_size: Mapping[Task, int]
    """Items that go into one request."""

    def __init__(self, *, timeout_s: float = 10.0, attempts: int = 3, concurrency: int = 8) -> None:
        if timeout_s <= 0 or attempts < 1 or concurrency < 1:
            raise BadInput("timeout_s must be above 0, attempts and concurrency at least 1")
        self.timeout_s = timeout_s
        self.attempts = attempts
        self.concurrency = concurrency

    def classify(
        self, pictures: Iterable[Picture], model: str | None = None, *, version: int | None = None, top: int = 5
    ) -> list[Classification]:
        """Name what is in each picture, given as the bytes of a file or its path; answers in the same order.

        Raises:
            ServingError: of the first picture that failed; `classify_each` goes on instead.
        """
        return _all_good(self.classify_each(pictures, model, version=version, top=top))

    def classify_each(
        self, pictures: Iterable[Picture], model: str | None = None, *, version: int | None = None, top: int = 5
    ) -> Iterator[Outcome]:
        """As `classify`, but one by one as answers come in, and a failure takes its picture's place."""
        return self._each(pictures, Question(task="image_classification", model=model, version=version, top=top))

    def review(
        self, texts: Iterable[str], model: str | None = None, *, version: int | None = None, top: int = 5
    ) -> list[Classification]:
        """Say of each text what it is; answers in the same order.

        Raises:
            ServingError: of the first text that failed; `review_each` goes on instead.
        """
        return _all_good(self.review_each(texts, model, version=version, top=top))

    def review_each(
        self, texts: Iterable[str], model: str | None = None, *, version: int | None = None, top: int = 5
    ) -> Iterator[Outcome]:
        """As `review`, but one by one as answers come in, and a failure takes its text's place."""
        return self._each(texts, Question(task="text_classification", model=model, version=version, top=top))

    def score(
        self, rows: Iterable[Row], model: str | None = None, *, version: int | None = None, top: int = 5
    ) -> list[Classification | Value]:
        """Say of each row of numbers what it is, or which value belongs to it; answers in the same order.

        Raises:
            ServingError: of the first row that failed; `score_each` goes on instead.
        """
        return _all_good(self.score_each(rows, model, version=version, top=top))

    def score_each(
        self, rows: Iterable[Row], model: str | None = None, *, version: int | None = None, top: int = 5
    ) -> Iterator[Outcome | Value]:
        """As `score`, but one by one as answers come in, and a failure takes its row's place."""
        plain = (row.tolist() if isinstance(row, np.ndarray) else row for row in rows)
        return self._each(plain, Question(task="tabular", model=model, version=version, top=top))

    @abstractmethod
    def predict(
        self,
        arrays: Mapping[str, NDArray[Any]],
        model: str,
        *,
        signature: str = "serving_default",
        version: int | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Run one signature: arrays in and arrays out, by the names of its inputs and outputs."""

    @abstractmethod
    def card(self, model: str, *, version: int | None = None) -> ModelCard:
        """What a version promises.

        Raises:
            NotFound: no such model or version.
            NoCard: it has none.
        """

    @abstractmethod
    def status(self, model: str | None = None) -> list[ModelStatus]:
        """The models, their versions and states."""

    @abstractmethod
    def close(self) -> None:
        """End every connection."""

    @abstractmethod
    def _ask(self, items: Sequence[Item], question: Question, deadline: float) -> list[Outcome | Value]:
        """One outcome per item; what failed as a whole is raised."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _each(self, items: Iterable[Any], question: Question) -> Iterator[Any]:
        """Ask about any number of items, in groups, several at a time."""
        grouped = groups(items, self.group_size[question.task])
        for outcomes in in_order(partial(self._answers, question), grouped, self.concurrency):
            yield from outcomes

    def _answers(self, question: Question, group: list[Any]) -> list[Outcome | Value]:
        """The outcomes of one group; a path is read here, in the worker's thread."""
        loaded = [_loaded(item) for item in group]
        ready = [item for item in loaded if not isinstance(item, ServingError)]
        outcomes = iter(self._outcomes(ready, question))
        return [item if isinstance(item, ServingError) else next(outcomes) for item in loaded]

    def _outcomes(self, items: Sequence[Item], question: Question) -> list[Outcome | Value]:
        """Ask about the items at once; if one of them spoils it for all, about each alone."""
        if not items:
            return []
        try:
            return self._persevere(partial(self._ask, items, question))
        except BadInput as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item], question)]
        except ServingError as error:
            return [error] * len(items)

    def _persevere(self, call: Callable[[float], T]) -> T:
        """Try until it works, or attempts or time are over."""
        return persevere(call, time.monotonic() + self.timeout_s, self.attempts)


def _loaded(item: Item | Path) -> Item | ServingError:
    if not isinstance(item, Path):
        return item
    try:
        return item.read_bytes()
    except OSError as error:
        return BadInput(f"cannot be read: {error.strerror or error}")


def _all_good(outcomes: Iterable[Any]) -> list[Any]:
    """The answers; the first failure among them is raised."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, ServingError):
            raise outcome
        found.append(outcome)
    return found
