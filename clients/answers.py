"""What the clients give back: plain frozen values, the same over HTTP and gRPC."""

from dataclasses import asdict, dataclass
from typing import Any

from serving.card import Task


@dataclass(frozen=True, slots=True)
class Ranked:
    """One label and how probable it is, between 0 and 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How unlike the training examples one item is; above the threshold it is flagged."""

    score: float
    threshold: float
    flagged: bool


@dataclass(frozen=True, slots=True)
class Value:
    """The number that one version of a model without labels answers to one row."""

    model: str
    version: int
    value: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What one version of a model says of one item."""

    model: str
    version: int
    top: tuple[Ranked, ...]
    """The most probable labels, best first; at least one."""
    anomaly: Anomaly | None = None
    """None where the model does not measure it."""

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.top[0].label

    @property
    def probability(self) -> float:
        """That label's probability."""
        return self.top[0].probability

    def as_json(self) -> dict[str, Any]:
        """The members of its JSON object, the best label first."""
        members = {"label": self.label, "probability": self.probability} | asdict(self)
        return {name: value for name, value in members.items() if name != "anomaly" or value is not None}


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version and its state: START, LOADING, AVAILABLE, UNLOADING or END."""

    version: int
    state: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model that a server has."""

    name: str
    versions: tuple[VersionStatus, ...]
    task: Task | None = None
    """None where the model has no card."""
    labels: tuple[str, ...] = ()

    @property
    def available(self) -> tuple[int, ...]:
        """The versions that answer now."""
        return tuple(entry.version for entry in self.versions if entry.state == "AVAILABLE")
