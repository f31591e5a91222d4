"""grpc.health.v1, told truly: a model is SERVING while it has a version that answers.

The empty name and the names of the services stand for the server: every model of its config must
answer. Nothing serves any more once the server drains.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from serving.errors import NotFound
from serving.modelserver.grpc_methods import Send, Services, Unary, Watch
from serving.modelserver.lifecycle.manager import ModelManager

_Status = health_pb2.HealthCheckResponse
HEALTH_SERVICE = "grpc.health.v1.Health"
_SERVER_NAMES = (
    "",
    "ModelService",
    "PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
    "inference.GRPCInferenceService",
    HEALTH_SERVICE,
)
_LOOK_S = 0.25


class Health:
    """Check looks at this moment; those who Watch are told within a quarter of a second, and hold no thread."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager
        self._lock = threading.Lock()
        self._told: dict[str, int] = {}
        """What was last said of each name that is, or was, known here."""
        self._watching: dict[str, set[Send]] = {}
        self._draining = threading.Event()
        self._thread: threading.Thread | None = None

    def services(self) -> Services:
        """The service; those who watch are told of changes once it has `begun`."""
        request = health_pb2.HealthCheckRequest
        return {
            HEALTH_SERVICE: {
                "Check": Unary(request, self.check, at_once=True),
                "Watch": Watch(request, self.watch),
            }
        }

    def begin(self) -> None:
        """Begin to look."""
        self._look()
        self._thread = threading.Thread(target=self._keep_looking, name="grpc-health", daemon=True)
        self._thread.start()

    def status(self, service: str) -> int | None:
        """Of one name; None if there is no such model."""
        names = self._manager.names()
        if service in _SERVER_NAMES:
            serves = all(self._manager.ready(name) for name in names)
        elif service in names:
            serves = self._manager.ready(service)
        else:
            return None
        serves = serves and not self._draining.is_set()
        return int(_Status.SERVING if serves else _Status.NOT_SERVING)

    def check(self, request: Any, _deadline: float | None) -> Message:
        """The state of one name.

        Raises:
            NotFound: there is no such model.
        """
        found = self.status(request.service)
        if found is None:
            raise NotFound(f"There is no model or service called {request.service[:256]!r}")
        answer: Message = _Status(status=found)
        return answer

    def watch(self, request: Any, send: Send) -> Callable[[], None]:
        """Send the state of one name now and whenever it changes; returns what forgets the caller."""
        service = request.service
        with self._lock:
            if self._draining.is_set():
                send(_Status(status=_Status.NOT_SERVING))
                send(None)
                return _nothing
            send(_Status(status=self._told.get(service, _Status.SERVICE_UNKNOWN)))
            self._watching.setdefault(service, set()).add(send)
        return partial(self._forget, service, send)

    def _forget(self, service: str, send: Send) -> None:
        """One that watched has left; its name goes with the last that watched it, for strangers may make up any."""
        with self._lock:
            watching = self._watching.get(service, set())
            watching.discard(send)
            if not watching:
                self._watching.pop(service, None)

    @property
    def watched(self) -> set[str]:
        """Names that somebody watches now, known here or not."""
        with self._lock:
            return set(self._watching)

    def drain(self) -> None:
        """From now on nothing serves; those who watch are told so and let go."""
        self._draining.set()
        if self._thread is not None:
            self._thread.join()
        self._look()
        with self._lock:
            streams = [send for watching in self._watching.values() for send in watching]
            self._watching.clear()
        for send in streams:
            send(None)

    def _keep_looking(self) -> None:
        while not self._draining.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        """Tell those who watch what has changed; models that have left the config are unknown again."""
        for service in {*_SERVER_NAMES, *self._manager.names(), *self._told}:
            found = self.status(service)
            now = _Status.SERVICE_UNKNOWN if found is None else found
            with self._lock:
                if self._told.get(service) == now:
                    continue
                self._told[service] = now
                for send in self._watching.get(service, ()):
                    send(_Status(status=now))


def _nothing() -> None:
    """What is left to do for somebody who was never written down."""
