"""Models in a few lines of numpy, behind the Upstream protocol: no framework, and every answer can be foreseen."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import Dataset, ImageInput, ModelCard, Quality, TextInput
from serving.errors import NoCard, NotFound, ServingError
from serving.gateway.upstream import ModelStatus, RestDoor, Tensors, VersionState

ABOUT: dict[str, Any] = {"dataset": Dataset(name="none", source="unknown"), "created": "2026-01-31T12:00:00Z"}
COLORS = ModelCard(
    name="colors",
    version=1,
    task="image_classification",
    labels=("red", "green", "blue"),
    input=ImageInput(height=16, width=16),
    signatures={"default": "serving_default"},
    quality=Quality(
        examples=30,
        accuracy=0.9,
        macro_f1=0.9,
        log_loss=0.3,
        calibration_error=0.02,
        confusion=((9, 1, 0), (0, 10, 0), (2, 0, 8)),
    ),
    **ABOUT,
)
MOODS = ModelCard(
    name="moods",
    version=1,
    task="text_classification",
    labels=("bad", "good"),
    input=TextInput(bits=10, max_bytes=2000),
    signatures={"default": "serving_default"},
    **ABOUT,
)


def answer(inputs: Tensors) -> NDArray[np.float32]:
    """The mean of each channel as shares of their sum, or whether "good" is in the text."""
    if "image" in inputs:
        means = inputs["image"].astype(np.float32).mean((1, 2)) + 1
        return np.asarray(means / means.sum(1, keepdims=True), np.float32)
    good = [0.9 if b"good" in text else 0.1 for text in inputs["text"].tolist()]
    return np.array([[1 - share, share] for share in good], np.float32)


def brightness(inputs: Tensors) -> NDArray[np.float32]:
    """0 for a black picture, 1 for a white one; length for a text."""
    if "image" in inputs:
        return np.asarray(inputs["image"].astype(np.float32).mean((1, 2, 3)) / 255, np.float32)
    return np.array([len(text) / 100 for text in inputs["text"].tolist()], np.float32)


class Classifiers:
    """An Upstream whose versions come and go as a test wants."""

    def __init__(self, *cards: ModelCard, bare: tuple[str, ...] = ()) -> None:
        self.cards = {(card.name, card.version): card for card in cards}
        self.bare = bare
        self.labels: dict[str, dict[str, int]] = {}
        self.rest: RestDoor | None = None
        self.measures_anomaly: set[tuple[str, int]] = set()
        self.anomaly: Callable[[Tensors], NDArray[Any]] = brightness
        self.asked: list[tuple[str, int]] = []
        self.deadlines: list[float | None] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._lock = Lock()

    def publish(self, card: ModelCard, version: int) -> None:
        self.cards[card.name, version] = replace(card, version=version)

    def retire(self, model: str, version: int) -> None:
        del self.cards[model, version]

    def predict(
        self, model: str, version: int, signature: str, inputs: Tensors, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        with self._lock:
            self.asked.append((model, version))
            self.deadlines.append(deadline)
        if (model, version) not in self.cards:
            raise NotFound(f"Servable not found for request: Specific({model}, {version})")
        self.before_answer()
        outputs = {"probabilities": answer(inputs)}
        if (model, version) in self.measures_anomaly:
            outputs["anomaly"] = self.anomaly(inputs)
        return outputs

    def card(
        self, model: str, version: int | None = None, deadline: float | None = None, *, label: str | None = None
    ) -> ModelCard:
        if model in self.bare:
            raise NoCard(f"version 1 of {model} carries no card")
        if label is not None:
            version = self.labels.get(model, {}).get(label, -1)
        versions = [number for name, number in self.cards if name == model and version in (None, number)]
        if not versions:
            raise NotFound(f"there is no model {model}" + (f" with version {version}" if version else ""))
        return self.cards[model, max(versions)]

    def models(self) -> list[ModelStatus]:
        found: dict[str, list[int]] = {name: [1] for name in self.bare}
        for name, version in self.cards:
            found.setdefault(name, []).append(version)
        return [
            ModelStatus(
                name,
                [VersionState(version, "AVAILABLE") for version in sorted(versions, reverse=True)],
                self.labels.get(name, {}),
            )
            for name, versions in sorted(found.items())
        ]

    def close(self) -> None:
        return None


class Gate:
    """Holds predictions until a test lets them go."""

    def __init__(self) -> None:
        self.reached = Event()
        self.open = Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(30)


class Failing:
    """Raises what it was given."""

    def __init__(self, error: ServingError) -> None:
        self.error = error

    def __call__(self) -> None:
        raise self.error
