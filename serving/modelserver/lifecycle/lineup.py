"""The versions of one model: which are wanted, where each stands, and what to do next.

Decides only. watch.py looks at the disk; engine.py asks `next_steps` after every change and does what
it says. The rule is availability first: what serves goes only when something wanted serves instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.modelserver.lifecycle.settings import ModelSettings
from serving.modelserver.lifecycle.versions import State, Version


@dataclass(slots=True)
class Steps:
    """What should happen now."""

    load: Version | None = None
    retire: list[Version] = field(default_factory=list)
    drop: list[Version] = field(default_factory=list)
    """Never begun, and not wanted any more."""


class Lineup:
    """One model. Everything here is called under the engine's lock."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.listed = True
        """Whether the model is in the present config."""
        self.versions: dict[int, Version] = {}
        """Every version known in this server's life, ended ones included."""
        self.wanted: dict[int, Path] = {}
        """Highest first."""
        self.desired_labels: Mapping[str, int] = {}
        self.labels: dict[str, int] = {}
        """Those in force."""

    def want(self, folders: Mapping[int, Path]) -> list[Version]:
        """Set the wanted versions, highest first; returns the versions that begin a new life.

        A version that ended is begun again only if it was not wanted in between.
        """
        begun = []
        for number, folder in folders.items():
            known = self.versions.get(number)
            if known is None or (known.state is State.END and number not in self.wanted):
                begun.append(self._begin(number, folder))
        self.wanted = dict(folders)
        for version in self.versions.values():
            if version.number not in folders:
                version.called_off.set()
        return begun

    def ended(self, version: Version) -> Version | None:
        """A version has come to its end; returns the new life of one that was wanted again meanwhile."""
        if version.number in self.wanted and version.called_off.is_set():
            return self._begin(version.number, self.wanted[version.number])
        return None

    def _begin(self, number: int, folder: Path) -> Version:
        self.versions[number] = Version(number, folder)
        return self.versions[number]

    def next_steps(self) -> Steps:
        """What to load, retire and drop, as things stand."""
        unwanted = [version for version in self.versions.values() if version.number not in self.wanted]
        steps = Steps(drop=[version for version in unwanted if version.state is State.START])
        if not self.wanted or self._a_wanted_one_serves():
            held = self._held_by_labels()
            steps.retire = [one for one in unwanted if one.state is State.AVAILABLE and one.number not in held]
        loading = [version for version in self.versions.values() if version.state is State.LOADING]
        if all(version.resting or version.called_off.is_set() for version in loading):
            waiting = (self.versions[number] for number in self.wanted)
            steps.load = next((version for version in waiting if version.state is State.START), None)
        return steps

    def _held_by_labels(self) -> set[int]:
        """Versions that a label of a labels.json still means, since the one that it shall mean is not available."""
        if not self.wanted or self.settings.labels is not None:
            return set()
        ready = {version.number for version in self.available()}
        moving = {label for label, number in self.desired_labels.items() if number not in ready}
        return {self.labels[label] for label in moving if label in self.labels}

    def may_serve(self, version: Version) -> bool:
        """Whether a version that has just been loaded should serve: it is wanted, or better than nothing."""
        return version.number in self.wanted or (bool(self.wanted) and not self._a_wanted_one_serves())

    def _a_wanted_one_serves(self) -> bool:
        return any(self.versions[number].state is State.AVAILABLE for number in self.wanted)

    def available(self) -> list[Version]:
        """The versions that can be asked, highest first."""
        found = [version for version in self.versions.values() if version.state is State.AVAILABLE]
        return sorted(found, key=lambda version: version.number, reverse=True)

    def lost(self) -> Version | None:
        """The highest wanted version, if there is no hope: all that are wanted have failed for good."""
        versions = [self.versions[number] for number in self.wanted]
        if versions and all(version.state is State.END and version.error for version in versions):
            return versions[0]
        return None

    def stumbled(self) -> bool:
        """Whether every wanted version has failed at least once."""
        return bool(self.wanted) and all(self.versions[number].failures for number in self.wanted)

    def settle_labels(self) -> None:
        """Put the desired labels in force.

        Those of a config hold at once; those of a labels.json once their version is available, and until
        then a label stays where it was.
        """
        if self.settings.labels is not None:
            self.labels = dict(self.desired_labels)
            return
        ready = {version.number for version in self.available()}
        settled = {}
        for label, number in self.desired_labels.items():
            if number in ready:
                settled[label] = number
            elif label in self.labels:
                settled[label] = self.labels[label]
        self.labels = settled
