"""grpc.health.v1, told truly: a model is SERVING while it has a version that answers; and server reflection.

The empty name and the names of the services stand for the server: every model of its config must
answer. Nothing serves any more once the server drains.
"""

import threading
from collections.abc import Callable, Iterable
from functools import partial

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from serving.modelserver.lifecycle.manager import ModelManager
from serving.wire.protos import POOL

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

Send = Callable[[object], None]
"""Sends a message to one that watches; None ends the stream."""


class Health(health.HealthServicer):  # type: ignore[misc]  # published without types
    """Check looks at this moment; those who Watch are told within a quarter of a second, and hold no thread."""

    def __init__(self, manager: ModelManager) -> None:
        super().__init__()
        self._manager = manager
        self._draining = threading.Event()
        self._thread: threading.Thread | None = None

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
        found = health_pb2.HealthCheckResponse.SERVING if serves else health_pb2.HealthCheckResponse.NOT_SERVING
        return int(found)

    def Check(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> object:
        """The state of one name."""
        found = self.status(request.service)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"There is no model or service called {request.service[:256]!r}")
        return health_pb2.HealthCheckResponse(status=found)

    def Watch(  # the name is the protocol's
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send_response_callback: Send
    ) -> None:
        """Send the state of one name now and whenever it changes."""
        service, send = request.service, send_response_callback
        with self._lock:
            told = self._server_status.get(service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            send(health_pb2.HealthCheckResponse(status=told))
            self._send_response_callbacks.setdefault(service, set()).add(send)
        forget = partial(self._forget, service, send)
        if not context.add_callback(forget):  # it has left already
            forget()

    def _forget(self, service: str, send: Send) -> None:
        """One that watched has left; its name goes with the last that watched it, for strangers may make up any."""
        with self._lock:
            watching = self._send_response_callbacks[service]
            watching.discard(send)
            if not watching:
                del self._send_response_callbacks[service]
        send(None)

    @property
    def watched(self) -> set[str]:
        """Names that somebody watches now, known here or not."""
        with self._lock:
            return set(self._send_response_callbacks)

    def register(self, server: grpc.Server) -> None:
        """Add the service to a server, and begin to look."""
        self._look()
        health_pb2_grpc.add_HealthServicer_to_server(self, server)
        self._thread = threading.Thread(target=self._keep_looking, name="grpc-health", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """From now on nothing serves; those who watch are told so and let go."""
        self._draining.set()
        if self._thread is not None:
            self._thread.join()
        self.enter_graceful_shutdown()
        with self._lock:
            streams = [send for watching in self._send_response_callbacks.values() for send in watching]
        for send in streams:
            send(None)

    def _keep_looking(self) -> None:
        while not self._draining.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        """Tell those who watch what has changed; models that have left the config are unknown again."""
        for service in {*_SERVER_NAMES, *self._manager.names(), *self._server_status}:
            found = self.status(service)
            told = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN if found is None else found
            if self._server_status.get(service) != told:
                self.set(service, told)


def add_reflection(server: grpc.Server, services: Iterable[str]) -> None:
    """Let callers list the services and read their messages, out of our own pool of descriptors."""
    names = [*services, reflection.SERVICE_NAME]
    for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(file.serialized_pb)
    reflection.enable_server_reflection(names, server, pool=POOL)
