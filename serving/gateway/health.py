"""Health: is the process alive, and can it answer?

Alive (`/livez`): the event loop ticks, and not every worker is stuck far past its deadline. A thread outside
the loop watches it; when it stops, that thread writes every stack to stderr and in the end leaves
the process, since a stuck loop answers neither probes nor SIGTERM.
Ready (`/readyz`): every model is AVAILABLE and a canned inference, which does not pass through
admission, was answered in the last CANNED_FRESH_S.
"""

import faulthandler
import logging
import os
import sys
from collections.abc import Callable, Mapping
from threading import Event, Thread
from time import monotonic

import numpy as np

from serving.card import ImageInput, ModelCard, TableInput
from serving.errors import NoCard, ServingError
from serving.gateway.config import GatewayConfig
from serving.gateway.upstream import ModelStatus, Tensors, Upstream

TICK_S = 0.5
"""How often the loop is made to tick, and looked at."""
STUCK_S = 5.0
"""A loop that has not ticked for so long is stuck."""
LOOK_S = 1.0
"""How often models are looked at while something is missing; every third time when nothing is."""
CANNED_FRESH_S = 10.0
CANNED_TIMEOUT_S = 5.0
EXIT_CODE = 70

log = logging.getLogger(__name__)


class Health:
    """What two threads of its own find out; read from anywhere."""

    def __init__(self, config: GatewayConfig, upstream: Upstream) -> None:
        self._config = config
        self._upstream = upstream
        self._missing = ["the first look at the models is still under way"]
        self._answered_at = -CANNED_FRESH_S
        self._turn = 0
        self._stop = Event()
        self._ticked_at = monotonic()
        self._threads = (
            Thread(target=self._look_on, name="gateway-ready", daemon=True),
            Thread(target=self._watch, name="gateway-watch", daemon=True),
        )
        self.draining = False
        self.workers_stuck: Callable[[], bool] = lambda: False
        self.looked: Callable[[Mapping[str, bool]], None] = lambda available: None
        """Told after every look which models answer."""
        self._names: set[str] = set(config.models)

    def start(self) -> None:
        """Begin to look."""
        self.tick()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(CANNED_TIMEOUT_S + LOOK_S)

    def tick(self) -> None:
        """The event loop says that it moves; it does so every TICK_S."""
        self._ticked_at = monotonic()

    def still_s(self) -> float:
        """Seconds since the event loop last moved."""
        return monotonic() - self._ticked_at

    def stuck(self) -> list[str]:
        """Why the process had better be restarted; empty while it lives."""
        said = []
        if self.still_s() >= STUCK_S:
            said.append("the event loop does not move")
        if self.workers_stuck():
            said.append("every worker is stuck far past its deadline")
        return said

    def missing(self) -> list[str]:
        """What keeps the gateway from being ready, one sentence each; empty when it is."""
        if self.draining:
            return ["the server is shutting down"]
        if self._missing:
            return self._missing
        if monotonic() - self._answered_at > CANNED_FRESH_S:
            return [f"no canned inference was answered in the last {CANNED_FRESH_S:g} s"]
        return []

    def _look_on(self) -> None:
        while True:
            try:
                self._missing = self.look()
            except ServingError as error:
                self._missing = [f"the model server: {error.message}"]
                self.looked(dict.fromkeys(self._names, False))
            except Exception as error:  # a readiness thread that dies would lie for ever
                log.exception("the look at the models failed")
                self._missing = [f"the look at the models failed: {type(error).__name__}"]
            if self._stop.wait(LOOK_S if self._missing else 3 * LOOK_S):
                return

    def look(self) -> list[str]:
        """Look at every model once and ask one of them; says what is missing."""
        found = {status.name: status for status in self._upstream.models()}
        self._names = {*found, *self._config.models}
        self.looked({name: name in found and bool(found[name].available) for name in self._names})
        missing = [_unavailable(name, found.get(name)) for name in sorted(self._names)]
        if not missing:
            return ["no model is being served"]
        if said := [sentence for sentence in missing if sentence]:
            return said
        return self._ask_next(sorted(found))

    def _ask_next(self, names: list[str]) -> list[str]:
        """A canned inference with each model in turn; those without a card have none."""
        for _ in names:
            name = names[self._turn % len(names)]
            self._turn += 1
            try:
                card = self._upstream.card(name, None, monotonic() + CANNED_TIMEOUT_S)
            except NoCard:
                continue
            try:
                self._ask(name, card)
            except ServingError as error:
                self._turn -= 1
                return [f"the canned inference with {name} failed: {error.message}"]
            break
        self._answered_at = monotonic()
        return []

    def _ask(self, name: str, card: ModelCard) -> None:
        signature = card.signatures.get("default", "serving_default")
        self._upstream.predict(name, card.version, signature, canned(card), monotonic() + CANNED_TIMEOUT_S)

    def _watch(self) -> None:
        told = False
        while not self._stop.wait(TICK_S):
            still_s, exit_s = self.still_s(), self._config.stuck_exit_s
            stuck, lost = still_s >= STUCK_S, 0 < exit_s < still_s
            if (stuck or lost) and not told:
                print(f"the event loop has not moved for {still_s:.0f} s; all stacks:", file=sys.stderr, flush=True)
                faulthandler.dump_traceback(all_threads=True)
            told = stuck
            if lost:
                os._exit(EXIT_CODE)


def canned(card: ModelCard) -> Tensors:
    """The simplest input that a model takes."""
    if isinstance(card.input, ImageInput):
        return {"image": np.zeros((1, card.input.height, card.input.width, card.input.channels), np.uint8)}
    if isinstance(card.input, TableInput):
        return {"row": np.array([[column.low for column in card.input.columns]], np.float32)}
    return {"text": np.array([b"ready?"], dtype=object)}


def _unavailable(name: str, status: ModelStatus | None) -> str:
    """Why a model does not count as ready; empty if it does."""
    if status is None or not status.versions:
        return f"{name}: no version of it is known"
    if status.available:
        return ""
    newest = status.versions[0]
    return f"{name}: version {newest.version} is {newest.state}{': ' if newest.message else ''}{newest.message}"
