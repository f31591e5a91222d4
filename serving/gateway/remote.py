"""RemoteUpstream: any TensorFlow Serving, or our own model server, over gRPC.

Versions come from GetModelStatus, cards from the `card` signature of the very version that will
answer, labels from whoever resolves them there. Nothing of the models needs to be configured here.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ModelCard
from serving.errors import BadInput, DataLoss, FailedPrecondition, NoCard, NotFound
from serving.gateway.channel import Channel
from serving.gateway.fresh import Fresh
from serving.gateway.rest_proxy import RestProxy
from serving.gateway.upstream import ModelStatus, RestDoor, Tensors, VersionState
from serving.wire import protos, tensors

FRESH_S = 1.0
"""How long a list of versions or a label is believed; a retired version is noticed at once anyway."""
STALE_S = 10.0
"""How long it is believed while the model server is away."""
CARD_FRESH_S = 60.0
MOST_CARDS = 256
MOST_NAMES = 1024
STATUS_S = 2.0
"""Longest wait for a list of versions that nobody gave a deadline for."""

_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_QUESTION = {"request": np.zeros(1, np.int32)}


class RemoteUpstream:
    """An Upstream over one channel."""

    def __init__(
        self, target: str, *, models: Sequence[str] = (), ca: Path | None = None, rest: str | None = None
    ) -> None:
        """Nothing is asked yet.

        Args:
            target: gRPC address.
            models: those to list before anybody asks.
            ca: to speak TLS, its authority.
            rest: http:// or https:// address of its REST port, if that is to be reached too.
        """
        self.channel = Channel(target, ca)
        self._proxy = RestProxy(rest, ca) if rest else None
        self.rest: RestDoor | None = self._proxy
        self._predict = self.channel.method("/tensorflow.serving.PredictionService/Predict", protos.PredictResponse)
        self._status = self.channel.method(
            "/tensorflow.serving.ModelService/GetModelStatus", protos.GetModelStatusResponse
        )
        self._names = dict.fromkeys(models)
        self._configured = frozenset(models)
        self._versions: Fresh[list[VersionState]] = Fresh(FRESH_S, STALE_S, MOST_NAMES)
        self._labels: Fresh[int] = Fresh(FRESH_S, STALE_S, MOST_NAMES)
        self._cards: Fresh[ModelCard | None] = Fresh(CARD_FRESH_S, 10 * CARD_FRESH_S, MOST_CARDS)

    def predict(
        self, model: str, version: int, signature: str, inputs: Tensors, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        """See Upstream; a version that is not found any more is looked up anew next time."""
        request = _request(model, signature, inputs)
        request.model_spec.version.value = version
        try:
            return _outputs(self.channel.call(self._predict, request, deadline))
        except NotFound:
            self._moved(model)
            raise

    def card(
        self, model: str, version: int | None = None, deadline: float | None = None, *, label: str | None = None
    ) -> ModelCard:
        """See Upstream."""
        if label is not None:
            version = self._labels.get((model, label), lambda: self._labeled(model, label, deadline))
        elif version is None:
            version = self._newest(model, deadline)
        chosen = version
        try:
            card = self._cards.get((model, chosen), lambda: self._asked_card(model, chosen, deadline))
        except NotFound:  # it may be there a moment from now: never remembered
            self._cards.forget((model, chosen))
            self._moved(model)
            raise
        if card is None:
            raise NoCard(f"version {chosen} of {model} carries no card")
        self._names.setdefault(model)
        return card

    def _moved(self, model: str) -> None:
        """A version or label of the model was not where it was thought to be: look anew."""
        self._versions.forget(model)
        self._labels.forget_all(lambda key: key[0] == model)

    def models(self) -> list[ModelStatus]:
        """Those configured and those asked for by name so far."""
        found = []
        for name in sorted(self._names):
            try:
                found.append(ModelStatus(name, self._known(name, monotonic() + STATUS_S)))
            except NotFound:
                if name in self._configured:
                    found.append(ModelStatus(name))
        return found

    def close(self) -> None:
        """End all calls."""
        self.channel.close()
        if self._proxy is not None:
            self._proxy.close()

    def _known(self, model: str, deadline: float | None) -> list[VersionState]:
        return self._versions.get(model, lambda: self._asked_versions(model, deadline))

    def _newest(self, model: str, deadline: float | None) -> int:
        available = ModelStatus(model, self._known(model, deadline)).available
        if not available:
            raise NotFound(f"no version of {model} is available now")
        self._names.setdefault(model)
        return available[0]

    def _asked_versions(self, model: str, deadline: float | None) -> list[VersionState]:
        request = protos.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            answer = self.channel.call(self._status, request, deadline)
        except (NotFound, BadInput) as error:
            raise NotFound(f"there is no model {model}") from error
        states = [
            VersionState(entry.version, _STATES.get(entry.state, "UNKNOWN"), entry.status.error_code, _text(entry))
            for entry in answer.model_version_status
        ]
        return sorted(states, key=lambda state: -state.version)

    def _asked_card(self, model: str, version: int, deadline: float | None) -> ModelCard | None:
        request = _request(model, "card", _QUESTION)
        request.model_spec.version.value = version
        try:
            return _card(self.channel.call(self._predict, request, deadline), version)
        except FailedPrecondition:
            return None

    def _labeled(self, model: str, label: str, deadline: float | None) -> int:
        """The version behind a label, as the model server resolves it; its card comes along."""
        request = _request(model, "card", _QUESTION)
        request.model_spec.version_label = label
        try:
            return int(self.channel.call(self._predict, request, deadline).model_spec.version.value)
        except FailedPrecondition:
            raise NoCard(f"the version of {model} labeled {label} carries no card") from None
        except (BadInput, NotFound) as error:
            raise NotFound(f"{model} has no version labeled {label}") from error


def _request(model: str, signature: str, inputs: Tensors) -> protos.PredictRequest:
    request = protos.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensors.to_proto(array, as_content=array.dtype != object))
    return request


def _outputs(answer: protos.PredictResponse) -> dict[str, NDArray[Any]]:
    try:
        return tensors.from_protos(answer.outputs)
    except BadInput as error:  # not the caller's input: what the model server sent cannot be read
        raise DataLoss(f"the model server sent a tensor that cannot be read: {error.message}") from error


def _card(answer: protos.PredictResponse, version: int) -> ModelCard:
    card = ModelCard.from_json(_outputs(answer)["card"].ravel()[0])
    return replace(card, version=version)


def _text(entry: Any) -> str:
    return str(entry.status.error_message)
