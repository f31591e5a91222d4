"""Looks at the disk at intervals and tells the engine what is there.

One broken base path stops nothing: that model stays as it is, the others are looked at as usual.
"""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from serving.errors import ServingError
from serving.modelserver.lifecycle import source
from serving.modelserver.lifecycle.engine import Engine
from serving.modelserver.lifecycle.settings import ModelSettings
from serving.repository import versions_in

LOG = logging.getLogger(__name__)


class Watcher:
    """One thread, if there is something to look at again and again."""

    def __init__(self, engine: Engine, poll_s: float) -> None:
        self._engine, self._poll_s = engine, poll_s
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._complaints: dict[str, str] = {}
        self.root: Path | None = None
        """Where to discover models, if they are discovered."""

    def start(self) -> None:
        """Look once, and then at every interval; with a negative interval never."""
        if self._poll_s < 0:
            LOG.warning("the poll interval is negative: no model will ever be found")
            return
        self.look()
        with self._looking:
            if self._poll_s > 0 and self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watch-models", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.wait(self._poll_s):
            try:
                self.look()
            except Exception:  # whatever it was, the next look may work
                LOG.exception("a look at the models failed")

    def look(self) -> None:
        """Look at every model's base path, and at the root for new ones."""
        with self._looking:
            if self._stopping.is_set():
                return
            self._engine.crew.again()
            if self.root is not None:
                self._discover(self.root)
            for settings in self._listed():
                self._look_at(settings)

    def _listed(self) -> list[ModelSettings]:
        with self._engine.changed:
            return [lineup.settings for lineup in self._engine.lineups.values() if lineup.listed]

    def _discover(self, root: Path) -> None:
        known = {settings.name: settings for settings in self._listed()}
        try:
            found = {settings.name: settings for settings in source.models_in(root, known)}
        except OSError as error:
            self._complain(str(root), f"models stay as they are: {error}")
            return
        self._complain(str(root), "" if found else f"no model in {root} yet")
        if found != known:
            self._engine.configure(found)

    def _look_at(self, settings: ModelSettings) -> None:
        name = settings.name
        try:
            found = versions_in(settings.base_path)
        except (OSError, ValueError) as error:  # what no path can be is as good as missing
            self._complain(name, f"{name} stays as it is: {error}")
            return
        labels = self._labels(settings)
        named = labels.values() if settings.labels is None else ()
        wanted = source.wanted(found, settings.policy, named)
        missing = sorted(source.demanded(settings.policy) - found.keys())
        self._complain(name, f"{name} has no version {missing} in {settings.base_path}" if missing else "")
        self._engine.see(settings, wanted, labels)

    def _labels(self, settings: ModelSettings) -> Mapping[str, int]:
        """Those that the model should have; where they cannot be read, those from before."""
        about = f"the labels of {settings.name}"
        try:
            labels = source.labels_of(settings)
        except (OSError, ServingError) as error:
            self._complain(about, f"{about} stay as they were: {error}")
            return self._engine.lineups[settings.name].desired_labels
        self._complain(about, "")
        return labels

    def _complain(self, about: str, text: str) -> None:
        """Warn once for as long as the complaint stays the same."""
        if text and self._complaints.get(about) != text:
            LOG.warning("%s", text)
        self._complaints[about] = text

    def stop(self, deadline: float) -> None:
        """Look no more; waits for the look under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
