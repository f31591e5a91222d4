"""Waiting for models: what counts as there, and what to say of those that will not come."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from serving.errors import DeadlineExceeded, Unavailable, Unknown
from serving.modelserver.lifecycle.engine import Engine
from serving.modelserver.lifecycle.lineup import Lineup
from serving.modelserver.lifecycle.versions import Version


class NotAvailable(Unknown):
    """Models that were waited for and whose every wanted version failed for good."""

    def __init__(self, failures: Mapping[str, Version]) -> None:
        """Args: failures: model to its highest wanted version."""
        self.failures = failures
        super().__init__(self.describe("model"))

    def describe(self, noun: str) -> str:
        """The original's text; `noun` is `model` after a reload and `servable` at start."""
        found = ""
        for name, version in self.failures.items():
            error = f"{version.error.code.name}: {version.error.message}" if version.error else "unloaded"
            found += f"{{name: {name} version: {version.number}}} due to error: {error}}}, "
        return f"{len(self.failures)} {noun}(s) did not become available: {{{found}}}"


def is_available(lineup: Lineup) -> bool:
    """Whether a version answers, or none ever will as things stand."""
    return bool(lineup.available()) or lineup.lost() is not None


def is_tried(lineup: Lineup) -> bool:
    """Whether a version answers, or each has been tried."""
    return bool(lineup.available()) or lineup.stumbled()


def lost(engine: Engine, names: Sequence[str]) -> dict[str, Version]:
    """Of these models those without hope, each with its highest wanted version."""
    with engine.changed:
        lineups = {name: engine.lineups[name] for name in names if name in engine.lineups}
        found = {name: lineup.lost() for name, lineup in lineups.items() if not lineup.available()}
        return {name: version for name, version in found.items() if version is not None}


def wait_for(
    engine: Engine,
    names: Sequence[str],
    settled: Callable[[Lineup], bool],
    closing: threading.Event,
    deadline: float | None,
) -> None:
    """Wait until every one of these models is settled; one that leaves the config is waited for no more.

    Raises:
        DeadlineExceeded: not in time.
        Unavailable: the server is closing.
    """

    def waiting() -> list[str]:
        lineups = {name: engine.lineups.get(name) for name in names}
        return [name for name, lineup in lineups.items() if not lineup or (lineup.listed and not settled(lineup))]

    with engine.changed:
        while True:
            if closing.is_set():
                raise Unavailable("the server is shutting down")
            if not (left := waiting()):
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineExceeded(f"still waiting for a version of {', '.join(left)}")
            engine.changed.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
