"""Makes happen what lineup.py decides: loads, retries, publishes, drains and frees versions.

All state is changed under one lock (`changed`), which is never held while something loads, runs,
is freed or is read from disk. Requests do not take it: they read `table`.
"""

import logging
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from serving.errors import ServingError
from serving.modelserver.lifecycle.crew import Crew
from serving.modelserver.lifecycle.lineup import Lineup
from serving.modelserver.lifecycle.loading import Loader
from serving.modelserver.lifecycle.routes import Route
from serving.modelserver.lifecycle.settings import LifecycleOptions, ModelSettings
from serving.modelserver.lifecycle.versions import ServedVersion, State, Version
from serving.modelserver.metrics import VERSIONS_KEPT

LOG = logging.getLogger(__name__)


class Engine:
    """The lineups of all models and the threads that work on them."""

    def __init__(self, loader: Loader, options: LifecycleOptions) -> None:
        self._loader, self._options = loader, options
        self._slots = threading.Semaphore(options.load_threads)
        self._gone: dict[str, list[Version]] = {}
        self.crew = Crew()
        self.changed = threading.Condition(threading.RLock())
        """Held for every change, notified after it."""
        self.lineups: dict[str, Lineup] = {}
        self.table: Mapping[str, Route] = {}
        """For requests: replaced, never changed."""

    def configure(self, models: Mapping[str, ModelSettings]) -> None:
        """Replace the config: new models join, models left out are withdrawn, the rest take their new settings."""
        with self.changed:
            for name, lineup in self.lineups.items():
                if name not in models and lineup.listed:
                    lineup.listed = False
                    lineup.desired_labels = {}
                    self._want(lineup, {})
            for name, settings in models.items():
                lineup = self.lineups.setdefault(name, Lineup(settings))
                lineup.listed, lineup.settings = True, settings
                if settings.labels is not None:
                    lineup.desired_labels = settings.labels
                self._publish(lineup)

    def see(self, settings: ModelSettings, wanted: Mapping[int, Path], labels: Mapping[str, int]) -> None:
        """Take in what a look at the disk showed, unless the model has got other settings meanwhile."""
        with self.changed:
            lineup = self.lineups.get(settings.name)
            if lineup is not None and lineup.listed and lineup.settings is settings:
                lineup.desired_labels = labels
                self._want(lineup, wanted)

    def withdraw_all(self) -> None:
        """Want nothing any more: everything drains and goes."""
        self.configure({})

    def break_off(self) -> bool:
        """End the runs that hold up versions on their way out; whether there are such versions. Under the lock."""
        leaving = [
            version.served for line in self.lineups.values() for version in line.versions.values() if version.served
        ]
        for served in leaving:
            served.break_off()
        return bool(leaving)

    def idle(self) -> bool:
        """Whether every version has ended. Called under the lock."""
        return all(version.state is State.END for line in self.lineups.values() for version in line.versions.values())

    def _want(self, lineup: Lineup, wanted: Mapping[int, Path]) -> None:
        for version in lineup.want(wanted):
            self._state(lineup, version, State.START)
        self._advance(lineup)

    def _state(self, lineup: Lineup, version: Version, state: State) -> None:
        if state is not State.START:
            version.to(state)
        self._options.metrics.version_state.of(lineup.settings.name, str(version.number)).set(state)

    def _advance(self, lineup: Lineup) -> None:
        steps = lineup.next_steps()
        for version in steps.drop:
            self._end(lineup, version)
        retired = [self._withdraw(lineup, version) for version in steps.retire]
        if steps.load is not None:
            self._state(lineup, steps.load, State.LOADING)
            self.crew.start(f"load-{lineup.settings.name}-{steps.load.number}", self._load, lineup, steps.load)
        self._publish(lineup)
        for version, served in retired:  # only now, when no request can find them any more
            served.retire(partial(self._free_soon, lineup, version, served))

    def _publish(self, lineup: Lineup) -> None:
        lineup.settle_labels()
        served = {version.number: version.served for version in lineup.available() if version.served is not None}
        latest = next(iter(served.values()), None)
        self.table = {**self.table, lineup.settings.name: Route(latest, served, lineup.labels)}
        self.changed.notify_all()

    def _load(self, lineup: Lineup, version: Version) -> None:
        """Try to load until it works, the tries are used up, or the version is not wanted any more."""
        for last in [False] * self._options.load_retries + [True]:
            with self._slots:
                if not version.called_off.is_set() and self._try(lineup, version):
                    return
            if last or self._rest(lineup, version):
                break
        with self.changed:
            self._end(lineup, version)
            self._advance(lineup)

    def _try(self, lineup: Lineup, version: Version) -> bool:
        name = lineup.settings.name
        started = time.monotonic()
        try:
            served = self._loader.load(name, version, replaces=self.table[name].latest is not None)
        except ServingError as error:
            LOG.warning("%s version %d failed to load: %s: %s", name, version.number, error.code.name, error.message)
            with self.changed:
                version.error = _without_frames(error)
                version.failures += 1
                self.changed.notify_all()
            return False
        LOG.info("%s version %d loaded in %.2f s", name, version.number, time.monotonic() - started)
        self._loaded(lineup, version, served)
        return True

    def _loaded(self, lineup: Lineup, version: Version, served: ServedVersion) -> None:
        with self.changed:
            version.error, version.served = None, served
            if lineup.may_serve(version):
                self._state(lineup, version, State.AVAILABLE)
            else:
                self._withdraw(lineup, version)
                served.retire(partial(self._free_soon, lineup, version, served))
            self._advance(lineup)

    def _rest(self, lineup: Lineup, version: Version) -> bool:
        """Wait for the next try, while others of the model may load; whether it was called off."""
        with self.changed:
            version.resting = True
            self._advance(lineup)
        called_off = version.called_off.wait(self._options.load_retry_interval_s)
        with self.changed:
            version.resting = False
        return called_off

    def _withdraw(self, lineup: Lineup, version: Version) -> tuple[Version, ServedVersion]:
        self._state(lineup, version, State.UNLOADING)
        if version.served is None:
            raise ServingError(f"{lineup.settings.name} version {version.number} has nothing to unload")
        return version, version.served

    def _free_soon(self, lineup: Lineup, version: Version, served: ServedVersion) -> None:
        """In a thread of its own, since the last request of a version should not pay for its end."""
        self.crew.start(f"free-{lineup.settings.name}-{version.number}", self._free, lineup, version, served)

    def _free(self, lineup: Lineup, version: Version, served: ServedVersion) -> None:
        try:
            served.close()
        except Exception:  # whatever a runtime does at its end, the version is gone
            LOG.exception("%s version %d could not be closed", lineup.settings.name, version.number)
        LOG.info("%s version %d unloaded", lineup.settings.name, version.number)
        with self.changed:
            version.served = None
            self._end(lineup, version)
            self._advance(lineup)

    def _end(self, lineup: Lineup, version: Version) -> None:
        self._state(lineup, version, State.END)
        again = lineup.ended(version)
        if again is not None:
            self._state(lineup, again, State.START)
            return
        self._gone.setdefault(lineup.settings.name, []).append(version)
        self._forget(lineup)

    def _forget(self, lineup: Lineup) -> None:
        """Take the versions off the metrics that ended a while ago. A failed one stays for as long as it is wanted."""
        gone = self._gone[lineup.settings.name]
        for version in [version for version in gone if version.number not in lineup.wanted][:-VERSIONS_KEPT]:
            gone.remove(version)
            if lineup.versions[version.number] is version:
                self._options.metrics.forget(lineup.settings.name, version.number, str(version.folder))


def _without_frames(error: ServingError) -> ServingError:
    """The error alone: its traceback would keep alive what the failed load had built so far."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
