"""How to ask: a library and a command line, without TensorFlow.

    from clients import HttpClient
    with HttpClient("http://127.0.0.1:8080") as client:
        print(client.classify([Path("cat.jpg")])[0].label)

`client.py` has what both protocols share, `answers.py` what comes back, `serving/errors.py` what
can go wrong. A name is imported when it is first asked for: who speaks HTTP never loads gRPC, and
nothing here loads a picture library before a picture has to be prepared.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clients.answers import Anomaly, Classification, ModelStatus, Ranked, Value, VersionStatus
    from clients.client import Client, Tls
    from clients.grpc_client import GrpcClient
    from clients.http_client import HttpClient
    from serving.errors import ServingError

__all__ = [
    "Anomaly",
    "Classification",
    "Client",
    "GrpcClient",
    "HttpClient",
    "ModelStatus",
    "Ranked",
    "ServingError",
    "Tls",
    "Value",
    "VersionStatus",
]

_ROOMS = {
    "Client": "clients.client",
    "GrpcClient": "clients.grpc_client",
    "HttpClient": "clients.http_client",
    "ServingError": "serving.errors",
    "Tls": "clients.client",
}


def __getattr__(name: str) -> Any:
    """Load the room of a name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS.get(name, "clients.answers")), name)
