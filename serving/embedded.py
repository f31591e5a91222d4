"""The gateway's upstream when the models run in its own process: no socket and no copy between them.

The one room that knows both the gateway and the model server; `__main__.py` puts it between them.
"""

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from serving.card import ModelCard
from serving.errors import NoCard, NotFound
from serving.gateway.upstream import ModelStatus, RestAnswer, RestCall, RestDoor, Tensors, VersionState
from serving.modelserver.calls import predict
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.oip_server import OipRest
from serving.modelserver.rest_app import Request, answered
from serving.modelserver.rest_calls import RestCalls


class EmbeddedRest:
    """A RestDoor: the doors of the model server's REST port, without the port."""

    def __init__(self, manager: ModelManager) -> None:
        """Args: manager: of the model server that runs here."""
        self._doors = (RestCalls(manager), OipRest(manager))

    def ask(self, call: RestCall) -> RestAnswer:
        """Answer in the calling thread, as the port would."""
        headers = {name.encode("latin-1"): value.encode("latin-1") for name, value in call.headers.items()}
        reply = answered(self._doors, Request(call.method, call.target, headers, call.body, call.deadline))
        given = [(b"content-type", reply.content_type), *reply.headers]
        return RestAnswer(
            reply.status, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in given], reply.body
        )


class EmbeddedUpstream:
    """An Upstream over the model manager of this process."""

    def __init__(self, manager: ModelManager) -> None:
        """Args: manager: of the model server that runs here; it closes itself."""
        self._manager = manager
        self.rest: RestDoor | None = EmbeddedRest(manager)

    def predict(
        self, model: str, version: int, signature: str, inputs: Tensors, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        """Run one signature of exactly this version, in the calling thread."""
        return predict.run(self._manager, model, version, signature, inputs, deadline)[1]

    def card(
        self, model: str, version: int | None = None, deadline: float | None = None, *, label: str | None = None
    ) -> ModelCard:
        """The card of a version that is loaded now, under the number that it is served as."""
        if label is not None:
            version = self._manager.labels(model).get(label)
            if version is None:
                raise NotFound(f"model {model} has no label {label}; it has {sorted(self._manager.labels(model))}")
        served = self._manager.find(model, version, None)
        card = served.card
        if card is None:
            raise NoCard(f"version {served.version} of model {model} carries no card")
        return card if card.version == served.version else replace(card, version=served.version)

    def models(self) -> list[ModelStatus]:
        """Every model of the server, sorted by name."""
        return [self._status(name) for name in sorted(self._manager.names())]

    def _status(self, name: str) -> ModelStatus:
        versions = [
            VersionState(entry.version, entry.state.name, int(entry.code), entry.message)
            for entry in self._manager.status(name)
        ]
        return ModelStatus(name, versions, self._manager.labels(name))

    def close(self) -> None:
        """Nothing to let go of: the model server is stopped by whoever started it."""
