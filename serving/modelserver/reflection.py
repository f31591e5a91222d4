"""Server reflection: callers may list the services and read their messages, out of our own pool of descriptors."""

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from serving.modelserver.grpc_methods import Conversation, Services
from serving.wire.protos import POOL

_MOST_KNOWN, _LONGEST_KNOWN = 256, 256
_SERVICE: str = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name


class Reflection:
    """Answered by Python's grpc, which is loaded with the first question: 9 MB that most servers never need."""

    def __init__(self, services: Sequence[str]) -> None:
        """Args: services: full names of all others."""
        for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            POOL.AddSerializedFile(file.serialized_pb)
        self._names = (*services, _SERVICE)
        self._servicer: Any = None
        self._known: dict[bytes, Sequence[Message]] = {}
        """Answers that were given, by their questions: they never change, and some take long to put together."""

    def services(self) -> Services:
        """The service."""
        method = Conversation(reflection_pb2.ServerReflectionRequest, self.answers)
        return {_SERVICE: {"ServerReflectionInfo": method}}

    def answers(self, question: Any) -> Iterable[Message]:
        """What one question is answered with."""
        key = question.SerializeToString()
        if (known := self._known.get(key)) is not None:
            return known
        if self._servicer is None:
            from grpc_reflection.v1alpha import reflection

            self._servicer = reflection.ReflectionServicer(self._names, pool=POOL)
        found = tuple(self._servicer.ServerReflectionInfo(iter((question,)), None))
        if len(self._known) < _MOST_KNOWN and len(key) <= _LONGEST_KNOWN:
            self._known[key] = found
        return found
