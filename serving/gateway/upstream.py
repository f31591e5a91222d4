"""What the gateway asks of whatever runs the models.

`remote.py` asks a TensorFlow Serving, or our model server, over gRPC; `serving/__main__.py` hands
over the model server of its own process. The gateway never learns which of the two it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from serving.card import ModelCard

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version as GetModelStatus tells it."""

    version: int
    state: str
    """START, LOADING, AVAILABLE, UNLOADING or END; UNKNOWN for what another server may say."""
    code: int = 0
    """Canonical code of the last failure, 0 if none."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model: its versions, highest first, and the labels that point at them."""

    name: str
    versions: list[VersionState] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def available(self) -> list[int]:
        """The versions that answer now, highest first."""
        return [entry.version for entry in self.versions if entry.state == "AVAILABLE"]


@dataclass(frozen=True, slots=True)
class RestCall:
    """A whole REST request for the model server."""

    method: str
    target: str
    """Raw path and query, as they were sent."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    deadline: float
    """In `time.monotonic()` seconds."""


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """Its whole answer."""

    status: int
    headers: Sequence[tuple[str, str]]
    """Names in lower case."""
    body: bytes


class RestDoor(Protocol):
    """The model server's own REST: TensorFlow Serving's paths and Open Inference Protocol's. Thread-safe."""

    def ask(self, call: RestCall) -> RestAnswer:
        """What it says, failures of the request included; raises ServingError if it cannot be asked."""


class Upstream(Protocol):
    """Runs models. Every method is called from several threads at once and raises the ServingError family only."""

    rest: RestDoor | None
    """Where REST calls that are not the gateway's own are handed on to; None if there is no way."""

    def predict(
        self, model: str, version: int, signature: str, inputs: Tensors, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        """Run one signature of exactly this version; `deadline` is in `time.monotonic()` seconds."""

    def card(
        self, model: str, version: int | None = None, deadline: float | None = None, *, label: str | None = None
    ) -> ModelCard:
        """The card of a version that answers now: the given one, the labeled one, or else the newest.

        Called for every request, so it must cost microseconds once a version is known. The card's
        `version` is the number that the version is served under, whatever its file says.

        Raises:
            NotFound: no such model, version or label, or none of it is available now.
            NoCard: the version is being served, but carries no card.
        """

    def models(self) -> list[ModelStatus]:
        """Every model known, sorted by name."""

    def close(self) -> None:
        """Let go of connections; no method is called afterwards."""
