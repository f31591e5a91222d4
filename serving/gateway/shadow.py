"""Shadow: a copy of requests for a version that nobody waits for, to see whether it would say the same.

`routes.py` offers a copy for after the answer is sent. One thread asks the shadow, one copy at a
time; while the gateway is busy copies are dropped, so callers never wait for it. What it says is
counted and forgotten.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ModelCard
from serving.errors import ServingError
from serving.gateway.background import Background
from serving.gateway.classify import Answer
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.prepare import prepare
from serving.gateway.problems import BadItem
from serving.gateway.routing import Rule
from serving.gateway.upstream import Tensors, Upstream

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Copy:
    """One answered request."""

    model: str
    target: int | str
    answer: Answer


class Shadow:
    """Asks the shadow versions of one gateway."""

    def __init__(self, upstream: Upstream, metrics: GatewayMetrics) -> None:
        self.busy: Callable[[], bool] = lambda: False
        self._upstream, self._metrics = upstream, metrics
        self._background: Background[Copy] = Background("shadow", self._ask)
        self.start, self.close = self._background.start, self._background.close

    def offer(self, rule: Rule, model: str, answer: Answer) -> None:
        """Take a copy, if the rule wants one and there is room; never blocks."""
        if rule.shadow is None or not answer.prepared.rows or random.random() >= rule.shadow_share:
            return
        size = sum(map(len, answer.items)) + sum(array.nbytes for array in answer.prepared.inputs.values())
        if self.busy() or not self._background.offer(Copy(model, rule.shadow, answer), size):
            self._metrics.shadowed(model, "", "dropped", len(answer.prepared.rows))

    def _ask(self, copy: Copy) -> None:
        rows, version = len(copy.answer.prepared.rows), ""
        try:
            if self.busy():
                self._metrics.shadowed(copy.model, "", "dropped", rows)
                return
            deadline = monotonic() + TIMEOUT_S
            number, label = (copy.target, None) if isinstance(copy.target, int) else (None, copy.target)
            card = self._upstream.card(copy.model, number, deadline, label=label)
            if card.version == copy.answer.card.version:
                return
            version = str(card.version)
            inputs = copy.answer.prepared.inputs
            if card.input != copy.answer.card.input:
                items = [copy.answer.items[row] for row in copy.answer.prepared.rows]
                inputs = prepare(items, card, deadline, partial=False).inputs
            signature = card.signatures.get("default", "serving_default")
            outputs = self._upstream.predict(copy.model, card.version, signature, inputs, deadline)
            agreed = _agreed(copy.answer, outputs, card)
        except (ServingError, BadItem, LookupError, ValueError):
            self._metrics.shadowed(copy.model, version, "failed", rows)
            return
        self._metrics.shadowed(copy.model, version, "agreed", agreed)
        self._metrics.shadowed(copy.model, version, "disagreed", rows - agreed)


def _agreed(answer: Answer, outputs: Tensors, card: ModelCard) -> int:
    """Items of the same first label, or whose values differ by at most a hundredth."""
    if not card.labels:
        return int(np.isclose(answer.probabilities, outputs["value"], rtol=0.01).sum())
    pairs = zip(_labels(answer.probabilities, answer.card), _labels(outputs["probabilities"], card), strict=True)
    return sum(mine == other for mine, other in pairs)


def _labels(probabilities: NDArray[Any], card: ModelCard) -> list[str]:
    return [card.labels[place] for place in np.argmax(probabilities, 1).tolist()]
