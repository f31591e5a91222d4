"""GatewayConfig: all the gateway may be told, checked once at start-up.

`__main__.py` makes a command-line option of every field and `from_env` an environment variable;
no other file reads either.
"""

import ast
import importlib.util
import inspect
import itertools
import logging
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from serving.errors import BadInput

log = logging.getLogger(__name__)

EMPTY: Mapping[str, Any] = types.MappingProxyType({})


class ConfigError(BadInput):
    """A setting that cannot work; the text names it and what would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """All the gateway may be told. Read once at start-up, never changed after."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback wants API keys or TLS."""
    port: int = 8080
    """Port to listen on; 0 lets the system choose."""
    upstream: str = "dns:///localhost:8500"
    """gRPC address of the model server; all addresses behind a dns:/// name are used in turn."""
    upstream_rest: str | None = None
    """Address of the model server's REST port, as http://HOST:8501; its REST paths are then answered here too."""
    upstream_ca: Path | None = None
    """Certificate authority of the model server; speaks TLS to it if set."""
    routing: Path | None = None
    """TOML file of canary and shadow rules, read again when it changes."""
    models: tuple[str, ...] = ()
    """Models that must be ready, separated by commas; others are served when asked for by name."""

    default_timeout_s: float = 10.0
    """Longest a request may take from its last byte to its answer, unless X-Request-Timeout says otherwise."""
    max_timeout_s: float = 60.0
    """Most that X-Request-Timeout may ask for."""
    head_timeout_s: float = 10.0
    """Longest a connection may take to send the head of a request."""
    body_timeout_s: float = 30.0
    """Longest a caller may take to send a body, or to read an answer that does not fit into the buffers."""
    keep_alive_s: int = 75
    """How long an idle connection is kept; longer than the usual load balancer's 60."""

    max_body_bytes: int = 10 * 2**20
    """Larger bodies are refused with 413."""
    max_header_bytes: int = 16 * 2**10
    """Larger heads are refused with 431."""
    max_buffered_bytes: int = 256 * 2**20
    """Bodies held at once, of all connections together; more are refused with 503."""
    max_connections: int = 2048
    """Connections at once, at most three eighths of the files that may be open; more are closed unanswered."""
    max_items: int = 32
    """Pictures or texts in one request."""

    max_in_flight: int = 32
    """Most requests worked on at once; the limit in use adapts below it."""
    min_in_flight: int = 1
    """The limit in use never goes below it; `python -m serving`, where the models run here too: four for each run
    at a time, 8 on two cores."""
    work_threads: int = 0
    """Threads that those requests share; 0: one each. `python -m serving`: as many as `min_in_flight`."""
    max_waiting: int = 64
    """Most requests that wait for a turn; how long they may adapts below it."""
    calm_latency_s: float = 0.06
    """Answers within this time are quick enough for anybody: only slower ones make the limit shrink or refuse.
    `python -m serving`: 0.02, since what waits for a core costs without gaining anything."""

    api_keys: Path | None = None
    """File of API keys; without one everybody may ask. One line each: NAME SHA256 [rate=10] [models=a,b]."""
    tls_certificate: Path | None = None
    """PEM chain of this server; needs tls_key."""
    tls_key: Path | None = None
    """PEM private key of tls_certificate."""

    sample_folder: Path | None = None
    """Keep some of what people send here, to be labeled later; nothing is kept if not set."""
    sample_share: float = 0.01
    """Share of answered requests that are kept."""
    sample_max_bytes: int = 2**30
    """The oldest samples are removed beyond so many bytes."""
    sample_max_days: float = 30.0
    """Older samples are removed."""

    access_log: bool = True
    """One JSON line a request on stdout."""
    trace_endpoint: str | None = None
    """URL that takes OpenTelemetry traces, as http://HOST:4318/v1/traces; else OTEL_EXPORTER_OTLP_ENDPOINT settles it.
    Needs the extra otel."""
    drain_delay_s: float = 0.0
    """After SIGTERM, keep answering for so long with readiness off, until load balancers have noticed."""
    grace_s: float = 25.0
    """After that, how long requests in flight may take to finish."""
    stuck_exit_s: float = 30.0
    """Exit with code 70 if the event loop has not moved for so long; 0 never does."""

    def __post_init__(self) -> None:
        """Hold every field to what can work."""
        for name in ("default_timeout_s", "max_timeout_s", "head_timeout_s", "body_timeout_s", "keep_alive_s"):
            _at_least(name, getattr(self, name), 0, strictly=True)
        for name in ("max_body_bytes", "max_header_bytes", "max_buffered_bytes", "max_connections", "max_items"):
            _at_least(name, getattr(self, name), 1)
        _at_least("min_in_flight", self.min_in_flight, 1)
        _at_least("work_threads", self.work_threads, 0)
        _at_least("max_in_flight", self.max_in_flight, 1)
        for name in ("max_waiting", "drain_delay_s", "grace_s", "stuck_exit_s", "calm_latency_s"):
            _at_least(name, getattr(self, name), 0)
        _at_least("sample_max_bytes", self.sample_max_bytes, 1)
        _at_least("sample_max_days", self.sample_max_days, 0, strictly=True)
        if not 0 <= self.sample_share <= 1:
            raise ConfigError(f"sample_share must be between 0 and 1, got {self.sample_share}")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be between 0 and 65535, got {self.port}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("tls_certificate and tls_key go together: give both or neither")
        if self.trace_endpoint is not None and not self.trace_endpoint.startswith(("http://", "https://")):
            raise ConfigError(f"trace_endpoint must be an http:// or https:// URL, got {self.trace_endpoint!r}")
        for path in (self.api_keys, self.routing, self.tls_certificate, self.tls_key, self.upstream_ca):
            if path is not None and not path.is_file():
                raise ConfigError(f"there is no file {path}")

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, *, usual: Mapping[str, Any] = EMPTY, **given: Any) -> Self:
        """Take each field from `given`, else from GATEWAY_<NAME> where that is set, else from `usual`.

        The collector of traces is also taken from where every OpenTelemetry SDK looks for it.
        """
        texts = {name: env.get(f"GATEWAY_{name.upper()}", "") for name in kinds()}
        found = {name: parse(name, text) for name, text in texts.items() if text}
        settled = {**usual} | found | given
        if "trace_endpoint" not in settled and (endpoint := _collector(env)) is not None:
            if _can_trace():
                settled["trace_endpoint"] = endpoint
            else:  # such a variable is often a whole cluster's, and nobody asked this gateway in particular
                log.warning("no traces are sent to %s: pip install 'slipway[otel]'", endpoint)
        return cls(**settled)


def _can_trace() -> bool:
    """Whether the extra `otel` is installed."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ImportError:
        return False


def _collector(env: Mapping[str, str]) -> str | None:
    """Source: OpenTelemetry's specification of the OTLP exporter's environment variables."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if whole := env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return whole
    base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/traces" if base else None


def kinds() -> dict[str, Any]:
    """The type of every field, in order."""
    hints = get_type_hints(GatewayConfig)
    return {entry.name: hints[entry.name] for entry in fields(GatewayConfig)}


def meanings() -> dict[str, str]:
    """What every field is for, in order: the sentence under it."""
    (whole,) = ast.parse(inspect.getsource(GatewayConfig)).body
    assert isinstance(whole, ast.ClassDef)
    found = {}
    for entry, text in itertools.pairwise(whole.body):
        match entry, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                found[name] = " ".join(sentence.split())
    return found


def parse(name: str, text: str) -> Any:
    """The value of one field out of its text.

    Raises:
        ConfigError: the text is none of the field's type.
    """
    kind = kinds()[name]
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is bool:
        return _boolean(name, text)
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{name} must be {kind.__name__}, got {text!r}") from None


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        raise ConfigError(f"{name} must be true or false, got {text!r}")
    return text.lower() in {"true", "1", "yes", "on"}


def _at_least(name: str, value: float, least: float, *, strictly: bool = False) -> None:
    if value < least or (strictly and value == least) or value != value:
        raise ConfigError(f"{name} must be {'above' if strictly else 'at least'} {least}, got {value}")
