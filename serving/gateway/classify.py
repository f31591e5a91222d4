"""The journey of a request: which version answers, prepare for it, ask it, read its answer.

The version whose card prepared the items is the version that is asked; if it was retired in the
meantime, the newest is asked once more, with everything prepared again by its card.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, ModelCard
from serving.errors import BadInput, DeadlineExceeded, NoCard, NotFound, ServingError
from serving.gateway.bodies import Body, Item
from serving.gateway.documents import Prediction, Ranked, Said
from serving.gateway.exchange import Exchange
from serving.gateway.prepare import Prepared, prepare
from serving.gateway.upstream import Upstream
from serving.gateway.view import view

FEW = 128
"""So many numbers Python checks and ranks sooner than numpy, none of which is in the caches under load."""
DIGITS = 7
"""Of a probability in JSON; a float32 has no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a caller wants to know."""

    model: str
    version: int | None = None
    label: str | None = None
    top: int = 5
    partial: bool = False
    view: bool = False
    may_fall_back: bool = False
    """The label was not the caller's wish: if nothing is behind it any more, the newest version answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Probabilities (or the value, where the card has no labels) of every good item; what was wrong with the others."""

    items: list[Item]
    card: ModelCard
    probabilities: NDArray[Any]
    prepared: Prepared
    anomalies: NDArray[Any] | None = None
    """The score of every good item, where the version measures one and its card has a threshold."""


ReadBody = Callable[[ModelCard], Body]


def classify(question: Question, read: ReadBody, upstream: Upstream, exchange: Exchange) -> Answer:
    """Answer one question.

    Raises:
        NotFound, NoCard: by the upstream, see `Upstream.card`.
        BadInput, BadItem, DeadlineExceeded: by `read` and `prepare`.
        ServingError: whatever the upstream says to the prediction.
    """
    try:
        card = upstream.card(question.model, question.version, exchange.deadline, label=question.label)
        return _ask(question, card, read(card), upstream, exchange)
    except (NotFound, NoCard) as error:
        if question.version is not None or (isinstance(error, NoCard) and not question.may_fall_back):
            raise
        label = None if question.may_fall_back else question.label
        newest = upstream.card(question.model, None, exchange.deadline, label=label)
        exchange.retried = True
        return _ask(question, newest, read(newest), upstream, exchange)


def _ask(question: Question, card: ModelCard, body: Body, upstream: Upstream, exchange: Exchange) -> Answer:
    exchange.model, exchange.version = question.model, card.version
    exchange.kind, exchange.items = body.kind, len(body.items)
    if question.view and not isinstance(card.input, ImageInput):
        raise BadInput(f"view shows a picture as the model sees it; the model {card.name} takes none")
    begun = monotonic()
    prepared = prepare(body.items, card, exchange.deadline, partial=question.partial)
    ready = monotonic()
    exchange.decode_s += ready - begun
    if not prepared.rows:
        return Answer(body.items, card, np.zeros((0, len(card.labels)), np.float32), prepared)
    if ready >= exchange.deadline:
        raise DeadlineExceeded("the time for this request was over before its prediction began", retry_after_s=1)
    signature = card.signatures.get("default", "serving_default")
    outputs = upstream.predict(question.model, card.version, signature, prepared.inputs, exchange.deadline)
    exchange.predict_s += monotonic() - ready
    rows = len(prepared.rows)
    name, shape = ("probabilities", (rows, len(card.labels))) if card.labels else ("value", (rows,))
    probabilities = _held(outputs.get(name), name, shape, card)
    scores = None if card.anomaly_threshold is None else outputs.get("anomaly")
    anomalies = None if scores is None else _held(scores, "anomaly", (rows,), card)
    return Answer(body.items, card, probabilities, prepared, anomalies)


def _held(found: NDArray[Any] | None, name: str, promised: tuple[int, ...], card: ModelCard) -> NDArray[Any]:
    """Hold one output to what the card promises: floats of this shape, all finite."""
    if found is None or found.shape != promised:
        shape = None if found is None else list(found.shape)
        raise ServingError(
            f"version {card.version} of {card.name} answered {shape} for {name} "
            f"where its card promises {list(promised)}; export it again"
        )
    if not (all(map(isfinite, found.ravel().tolist())) if found.size <= FEW else np.isfinite(found).all()):
        raise ServingError(f"version {card.version} of {card.name} answered something that is no number")
    return found


def predictions(answer: Answer, question: Question) -> list[Said]:
    """What is said of every good item, in order."""
    if not answer.card.labels:
        return [{"value": float(str(value))} for value in answer.probabilities]
    return [*_labeled(answer, question)]


def _labeled(answer: Answer, question: Question) -> list[Prediction]:
    found = rankings(answer.probabilities, answer.card.labels, question.top)
    threshold = answer.card.anomaly_threshold
    if answer.anomalies is not None and threshold is not None:
        for prediction, score in zip(found, answer.anomalies.tolist(), strict=True):
            prediction["anomaly"] = {
                "score": round(score, DIGITS),
                "threshold": threshold,
                "flagged": score > threshold,
            }
    if question.view:
        for prediction, pixels in zip(found, answer.prepared.inputs.get("image", ()), strict=True):
            prediction["view"] = view(pixels)
    return found


def rankings(probabilities: NDArray[Any], labels: tuple[str, ...], top: int) -> list[Prediction]:
    """The best labels of every row, [N, labels], best first; of equals the first in the card's order."""
    found: list[Prediction] = []
    orders = np.argsort(-probabilities, kind="stable")[:, :top].tolist() if len(labels) > FEW else None
    for place, row in enumerate(probabilities.tolist()):
        order = orders[place] if orders else sorted(range(len(row)), key=row.__getitem__, reverse=True)[:top]
        best: list[Ranked] = [{"label": labels[at], "probability": round(row[at], DIGITS)} for at in order]
        found.append({"label": best[0]["label"], "probability": best[0]["probability"], "top": best})
    return found
