"""All that a ModelServer may be told, one frozen value: from the command line, a test, or python -m serving."""

from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import BadInput
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.runtimes.protocol import RuntimeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM texts for gRPC over TLS."""

    key: bytes
    certificate: bytes
    custom_ca: bytes | None = None
    """Who signed the clients' certificates."""
    client_verify: bool = False
    """Take only clients that show a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What to serve, where and how. Read once at start-up, never changed after.

    Exactly one of `base_path`, `model_config_file` and `models_root` says what is served.
    """

    base_path: Path | None = None
    """A folder of versions: one model is served."""
    model_name: str = ""
    """Its name; empty for that of the folder."""
    model_config_file: Path | None = None
    """A text-format ModelServerConfig: the models that it lists are served."""
    models_root: Path | None = None
    """A folder of models: every sub-folder that holds a version is served, later ones too."""
    config_poll_s: float = 0.0
    """The config file is read again this often; 0: never. A models_root is looked at like the versions in it."""

    bind_address: str = "127.0.0.1"
    """What both ports listen on."""
    grpc_port: int | None = None
    """None: no TCP port; 0: one that the system chooses."""
    grpc_socket_path: Path | None = None
    """A UNIX socket for gRPC besides, or instead."""
    grpc_arguments: tuple[tuple[str, int | str], ...] = ()
    """Channel arguments, as gRPC names them."""
    most_calls: int = 1024
    """gRPC calls under way at a time; more are answered RESOURCE_EXHAUSTED."""
    tls: Tls | None = None
    """For gRPC; REST stays plain."""
    alts: bool = False
    """gRPC over ALTS, on Google Cloud."""
    health_service: bool = True
    """Serve grpc.health.v1.Health."""

    rest_port: int | None = None
    """None: no REST; 0: a port that the system chooses."""
    rest_threads: int = 32
    """REST calls worked on at a time; more wait, up to 32 times as many."""
    rest_timeout_s: float = 30.0
    """Longest run of a REST call."""
    rest_cors: bool = False
    """Send CORS headers."""
    body_timeout_s: float = 30.0
    """Longest silence while a REST request is being sent."""
    body_total_s: float = 600.0
    """Longest time for a whole REST body, and for an answer to be taken."""
    most_body_bytes: int = 2**31 - 1
    """Largest REST body."""
    most_buffered_bytes: int = 0
    """Bodies of all REST requests together; 0: a quarter of the memory."""
    most_connections: int = 0
    """Open REST connections; 0: three eighths of the limit of open files, 8192 at most."""
    monitoring_path: str | None = None
    """Where the original's Prometheus page is, if anywhere; ours is always at /metrics."""

    tensor_content: bool = False
    """Numeric outputs as tensor_content instead of typed fields."""
    check_method_names: bool = False
    """Hold Predict, Classify and Regress to the method names of signatures."""
    drain_s: float = 10.0
    """Longest wait for requests under way when the server stops."""
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    lifecycle: LifecycleOptions = field(default_factory=LifecycleOptions)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        sources = (self.base_path, self.model_config_file, self.models_root)
        if sum(source is not None for source in sources) != 1:
            raise BadInput("Say what to serve: either a base path, or a model config file, or a folder of models")
        if self.tls and self.alts:
            raise BadInput("TLS and ALTS exclude each other: give an SSL config file or use_alts_credentials, not both")
        for name, port in (("gRPC", self.grpc_port), ("REST", self.rest_port)):
            if port is not None and not 0 <= port < 2**16:
                raise BadInput(f"{port} is no TCP port for {name}; ports end at 65535")
        if self.rest_timeout_s <= 0 or self.rest_threads < 1 or self.most_calls < 1 or self.drain_s < 0:
            raise BadInput(
                f"rest_timeout_s={self.rest_timeout_s}, rest_threads={self.rest_threads} and "
                f"most_calls={self.most_calls} must be above 0, drain_s={self.drain_s} not below"
            )
        if (
            self.body_timeout_s <= 0
            or self.body_total_s <= 0
            or min(self.most_buffered_bytes, self.most_connections) < 0
        ):
            raise BadInput(
                f"body_timeout_s={self.body_timeout_s} and body_total_s={self.body_total_s} must be above 0, "
                f"most_buffered_bytes={self.most_buffered_bytes} and most_connections={self.most_connections} not below"
            )

    @property
    def name(self) -> str:
        """Of the one model at base_path."""
        return self.model_name or (self.base_path.name if self.base_path else "")
