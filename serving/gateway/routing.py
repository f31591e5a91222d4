"""Routing: which share of a model's requests tries the canary, and what is copied to a shadow.

The file is TOML and is read again when it changes:

    [models.cats_vs_dogs]
    canary = 0.05           # share of requests that go to the version labeled "canary"
    shadow = "next"         # label or number of a version that gets a copy after the answer is sent
    shadow_share = 0.5      # share of requests that are copied; 1 if not given

Only requests that name neither version nor label are routed. Who goes to the canary is settled by
the header X-Request-Key, so that one user, session or device always meets the same side, also
when the share grows. Without the header the request's id decides, so the share is kept exactly; an
address or an API key would put everybody behind one proxy or service on the same side.

A canary that cannot be asked (no such label, no version behind it, no card) is no error, since
nobody asked for it: the newest version answers. `?label=canary` is answered 404 and 409 then.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from serving.errors import NoCard, NotFound
from serving.gateway.classify import Question
from serving.gateway.config import ConfigError
from serving.gateway.exchange import Exchange
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.upstream import Upstream
from serving.gateway.watched_file import WatchedFile

CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the file says of one model."""

    canary: float = 0.0
    shadow: int | str | None = None
    shadow_share: float = 1.0


class Routing:
    """The rules in force. Thread-safe."""

    def __init__(self, path: Path | None, upstream: Upstream, metrics: GatewayMetrics) -> None:
        """Raises: ConfigError: the file cannot be read or says something that cannot be."""
        self._file = None if path is None else WatchedFile(path, read)
        self._upstream, self._metrics = upstream, metrics
        if (file := self._file) is not None:
            metrics.watch(
                "gateway_routing_file_broken", "1 while older rules are in force, as the file is.", lambda: file.broken
            )

    def rule(self, model: str) -> Rule | None:
        """The rule of a model, if it has one."""
        return None if self._file is None else self._file.content().get(model)

    def routed(self, question: Question, exchange: Exchange) -> Question:
        """The question, put to the canary if this is its turn."""
        if self._file is None or question.version is not None or question.label is not None:
            return question
        rule = self.rule(question.model)
        if rule is None or not rule.canary:
            return question
        if place(question.model, exchange.request_key or exchange.request_id) >= rule.canary:
            side, chosen = "newest", question
        else:
            side, chosen = self._canary(question, exchange)
        exchange.side = side
        return chosen

    def _canary(self, question: Question, exchange: Exchange) -> tuple[str, Question]:
        try:
            self._upstream.card(question.model, None, exchange.deadline, label=CANARY)
        except (NotFound, NoCard):
            return "absent", question
        return CANARY, replace(question, label=CANARY, may_fall_back=True)


def place(model: str, key: str) -> float:
    """Where a key stands between 0 and 1; evenly spread, another order for every model, the same for ever."""
    digest = blake2b(f"{model}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def read(path: Path) -> Mapping[str, Rule]:
    """The rules in a file, by model.

    Raises:
        ConfigError: it cannot be read, or has something in it that cannot be; the text says what.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the routing file {path.name} cannot be read: {error}") from error
    models = document.pop("models", {})
    if document or not isinstance(models, dict):
        raise ConfigError(f"{path.name}: want tables [models.NAME] and nothing else beside them")
    return {model: _rule(f"{path.name}, models.{model}", given) for model, given in models.items()}


def _rule(where: str, given: Any) -> Rule:
    if not isinstance(given, dict) or (set(given) - {"canary", "shadow", "shadow_share"}):
        raise ConfigError(f"{where}: there are canary, shadow and shadow_share")
    for name in ("canary", "shadow_share"):
        share = given.get(name, 0)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ConfigError(f"{where}: {name} must be a share from 0 to 1, not {share!r}")
    shadow = given.get("shadow")
    if shadow is not None and (isinstance(shadow, bool) or not isinstance(shadow, int | str) or not shadow):
        raise ConfigError(f"{where}: shadow must be the label or the number of a version, not {shadow!r}")
    return Rule(**given)
