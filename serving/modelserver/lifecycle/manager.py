"""The models that a server holds: told by a config, found on disk, asked by requests.

The doors call `configure`, `acquire` and `status`; engine.py does the work behind them and
watch.py looks at the disk.
"""

import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.errors import BadInput, DeadlineExceeded, FailedPrecondition, Unavailable
from serving.modelserver.lifecycle.engine import Engine
from serving.modelserver.lifecycle.loading import Load, Loader
from serving.modelserver.lifecycle.readiness import NotAvailable, is_available, is_tried, lost, wait_for
from serving.modelserver.lifecycle.routes import find
from serving.modelserver.lifecycle.settings import (
    All,
    Latest,
    LifecycleOptions,
    ModelSettings,
    Specific,
)
from serving.modelserver.lifecycle.versions import ServedVersion, State, VersionStatus
from serving.modelserver.lifecycle.watch import Watcher

__all__ = [
    "All",
    "Latest",
    "LifecycleOptions",
    "ModelManager",
    "ModelSettings",
    "NotAvailable",
    "ServedVersion",
    "Specific",
    "State",
    "VersionStatus",
]

ROOT_WAIT_S = 60.0
"""Longest that the start waits for the models of a folder; what takes longer is served when it is loaded."""

BREAK_OFF_S = 1.0
"""Longest wait for runs to end that were broken off: TensorFlow does it between two operations."""


class Hold:
    """A version that stays loaded for as long as the block lasts."""

    __slots__ = ("_manager", "_served", "_wanted")

    def __init__(self, manager: "ModelManager", name: str, version: int | None, label: str | None) -> None:
        self._manager = manager
        self._wanted = (name, version, label)

    def __enter__(self) -> ServedVersion:
        """Find it now. A version that goes between the look and the step in is not found at the next look."""
        served = self._manager.find(*self._wanted)
        while not served.enter():
            served = self._manager.find(*self._wanted)
        self._served = served
        return served

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        self._served.leave()


class ModelManager:
    """All models of a server. Every method may be called from any thread."""

    def __init__(self, load: Load, options: LifecycleOptions | None = None) -> None:
        """Args: load: a version's folder to a LoadedModel; options: how to watch, load and run."""
        self.options = options or LifecycleOptions()
        self.metrics = self.options.metrics
        self._loader = Loader(load, self.options)
        self._engine = Engine(self._loader, self.options)
        self._watcher = Watcher(self._engine, self.options.poll_s)
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        """Closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def configure(self, models: Sequence[ModelSettings], *, wait: bool = True, deadline: float | None = None) -> None:
        """Replace the whole list of models.

        Args:
            models: each name once.
            wait: return only when each model that is new has a version available.
            deadline: of the wait, in time.monotonic() seconds; None for as long as it takes.

        Raises:
            BadInput: a name twice, or a base path that is not absolute. Nothing was changed.
            FailedPrecondition: a label for a version that is not available. Nothing was changed.
            NotAvailable: a new model's versions all failed for good; everything else serves.
            DeadlineExceeded: the wait took too long; loading goes on.
            Unavailable: the server is closing.
        """
        wanted = _by_name(models)
        with self._engine.changed:
            self._refuse_if_closing()
            self._check_labels(wanted.values())
            new = [name for name in wanted if name not in self.names()]
            self._watcher.root = None
            self._engine.configure(wanted)
        self._watcher.start()
        if wait:
            self._wait(new, deadline)

    def serve_root(self, root: Path) -> None:
        """Serve the newest and the labeled versions of every model under a folder, those that come later included.

        Returns when each model found now is available or has failed once, or after ROOT_WAIT_S.

        Raises:
            Unavailable: the server is closing.
        """
        with self._engine.changed:
            self._refuse_if_closing()
            self._watcher.root = root
        self._watcher.start()
        deadline = time.monotonic() + ROOT_WAIT_S
        with contextlib.suppress(DeadlineExceeded):
            wait_for(self._engine, self.names(), is_tried, self._closing, deadline)

    def acquire(self, name: str, *, version: int | None = None, label: str | None = None) -> Hold:
        """Hold a version for the length of a `with` block; it is found when the block begins.

        Args:
            name: the model.
            version: None for the highest that is available.
            label: instead of a version.

        Raises:
            BadInput: no such label.
            NotFound: no such model, or the version is not available.
            Unavailable: the server is closing.
        """
        return Hold(self, name, version, label)

    def find(self, name: str, version: int | None, label: str | None) -> ServedVersion:
        """The version that a request means, not held; raises what `acquire` does."""
        if self._closing.is_set():
            raise Unavailable("the server is shutting down")
        return find(self._engine.table, name, version, label)

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Every version known in this server's life, highest first, or the one asked for; empty if there is none."""
        with self._engine.changed:
            lineup = self._engine.lineups.get(name)
            known = lineup.versions if lineup is not None else {}
            numbers = sorted(known, reverse=True) if version is None else [version] * (version in known)
            return [known[number].status for number in numbers]

    @property
    def root(self) -> Path | None:
        """The folder that says what is served; None where a config does."""
        return self._watcher.root

    def names(self) -> list[str]:
        """The models of the present config, in its order."""
        with self._engine.changed:
            return [name for name, lineup in self._engine.lineups.items() if lineup.listed]

    def labels(self, name: str) -> dict[str, int]:
        """The labels of a model that are in force."""
        route = self._engine.table.get(name)
        return dict(route.labels) if route is not None else {}

    def ready(self, name: str) -> bool:
        """Whether a model has a version that answers now."""
        route = self._engine.table.get(name)
        return not self._closing.is_set() and route is not None and route.latest is not None

    def wait_until_available(self, name: str, timeout_s: float) -> None:
        """Wait for a model's first version.

        Raises:
            DeadlineExceeded: not in this time.
            NotAvailable: all its versions failed for good.
        """
        self._wait([name], time.monotonic() + timeout_s)

    def look(self) -> None:
        """Look at the disk now, without waiting for the next poll, and begin what follows from it."""
        self._watcher.look()

    def _wait(self, names: Sequence[str], deadline: float | None) -> None:
        wait_for(self._engine, names, is_available, self._closing, deadline)
        failures = lost(self._engine, names)
        if failures:
            raise NotAvailable(failures)

    def _refuse_if_closing(self) -> None:
        if self._closing.is_set():
            raise Unavailable("the server is shutting down")

    def _check_labels(self, models: Iterable[ModelSettings]) -> None:
        for settings in models:
            lineup = self._engine.lineups.get(settings.name)
            ready = {version.number for version in lineup.available()} if lineup is not None else set()
            in_use = lineup.labels if lineup is not None else {}
            for label, version in (settings.labels or {}).items():
                lenient = self.options.allow_labels_for_unavailable and in_use.get(label, version) == version
                if version not in ready and not lenient:
                    raise FailedPrecondition(
                        f"Request to assign label to version {version} of model {settings.name}, "
                        "which is not currently available for inference"
                    )

    def close(self, drain_s: float = 30.0) -> None:
        """Let nobody in any more, wait for the requests in flight, free everything.

        Args:
            drain_s: longest wait, in seconds; runs that take longer are broken off, which may take BREAK_OFF_S
                more. What cannot be, or a load, is left to its own thread, and its model is freed when it ends.
        """
        deadline = time.monotonic() + drain_s
        self._closing.set()
        self._engine.withdraw_all()
        self._watcher.stop(deadline)
        with self._engine.changed:
            if not self._engine.changed.wait_for(self._engine.idle, drain_s) and self._engine.break_off():
                deadline += BREAK_OFF_S
        if self._engine.crew.join(deadline):
            self._loader.close()


def _by_name(models: Iterable[ModelSettings]) -> dict[str, ModelSettings]:
    found: dict[str, ModelSettings] = {}
    for settings in models:
        if settings.name in found:
            raise BadInput(f"Illegal to list model {settings.name} multiple times in config list")
        if not settings.base_path.is_absolute():
            raise BadInput(
                f"Expected model {settings.name} to have an absolute path or URI; got base_path()={settings.base_path}"
            )
        found[settings.name] = settings
    return found
