"""Gateway: a running gateway, from its socket to its last answer.

    with Gateway(GatewayConfig(port=0), upstream) as gateway:
        ...                                     # http://127.0.0.1:{gateway.port}

One process, one event loop in a thread of its own, worker threads beside it. The main thread stays
free to hear signals, so that SIGTERM works whatever the loop is doing.
"""

import asyncio
import importlib
import logging
import socket
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import Any, Self

import uvicorn

from serving.errors import Unavailable
from serving.gateway.access_log import AccessLog
from serving.gateway.admission import Admission
from serving.gateway.app import create_app
from serving.gateway.config import ConfigError, GatewayConfig
from serving.gateway.connection import connection_class
from serving.gateway.exchange import Exchange
from serving.gateway.front import Front
from serving.gateway.health import TICK_S
from serving.gateway.lanes import Lanes
from serving.gateway.limit import AdaptiveLimit
from serving.gateway.services import build
from serving.gateway.upstream import Upstream
from serving.signals import Signals

START_S = 30.0
BACKLOG = 1024

logger = logging.getLogger(__name__)


class Gateway:
    """One gateway in front of one upstream. The upstream stays its maker's to close."""

    def __init__(self, config: GatewayConfig, upstream: Upstream) -> None:
        self.config = config
        self.services = build(config, upstream)
        self._socket = _bound(config)
        self.host, self.port = self._socket.getsockname()[:2]
        self._lanes = Lanes(config.max_in_flight, config.work_threads)
        limit = AdaptiveLimit(config.max_in_flight, config.calm_latency_s, least=config.min_in_flight)
        self._admission = Admission(limit, config.max_waiting)
        self._log = AccessLog() if config.access_log else None
        self._tracing = None if config.trace_endpoint is None else _tracing(config.trace_endpoint)
        self._front = Front(
            create_app(config, upstream, self.services).wsgi_app,
            config,
            admission=self._admission,
            keys=self.services.keys,
            lanes=self._lanes,
            finished=self._finished,
        )
        self.services.health.workers_stuck = self._front.is_stuck
        self.services.health.looked = self.services.metrics.looked
        self.services.shadow.busy = self._admission.is_busy
        self._show_numbers()
        self._server = uvicorn.Server(self._settings())
        self._thread = Thread(target=self._serve, name="gateway-loop", daemon=True)
        self._over = Event()
        self.grace_left_s = config.grace_s
        """What stop() has not used of its grace time."""

    @property
    def url(self) -> str:
        """Where a caller on this machine finds it."""
        scheme = "https" if self.config.tls_certificate else "http"
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def start(self) -> Self:
        """Warm every thread, then answer; returns when the port is open.

        Raises:
            Unavailable: the server did not come up.
        """
        _warn_if_open(self.config)
        self._lanes.warm()
        self.services.start()
        self._thread.start()
        until = monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or monotonic() > until:
                raise Unavailable("the gateway did not start; its log says why")
            self._over.wait(0.01)
        return self

    def stop(self, grace_s: float | None = None) -> bool:
        """Drain: readiness off, wait the drain delay, refuse connections, finish what is in flight.

        Args:
            grace_s: how long requests in flight may take; the configured time if None.

        Returns:
            Whether everything in flight was answered.
        """
        self.services.health.draining = self._front.draining = True
        if self._thread.is_alive():
            self._over.wait(self.config.drain_delay_s)
            grace_s = self.config.grace_s if grace_s is None else grace_s
            until = monotonic() + grace_s
            self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
            self._server.should_exit = True
            self._thread.join(grace_s + 2)
            self.grace_left_s = max(0.0, until - monotonic())
        finished = not self._thread.is_alive() and not self._front.abandoned
        self._over.set()
        self._lanes.close()
        self.services.stop()
        self._socket.close()
        for told in (self._log, self._tracing):
            if told is not None:
                told.close()
        return finished

    def run(self, announce: Callable[[], None] = lambda: None, leave: Callable[[], None] = lambda: None) -> int:
        """Start if need be, serve until SIGTERM or SIGINT, drain, return the exit code; for the main thread.

        Args:
            announce: called once the port is open and signals are heard.
            leave: called when the drain begins; must not wait.
        """
        asked = Event()
        Signals(asked.set)
        if not self._server.started:
            self.start()
        announce()
        while not asked.wait(1.0) and self._thread.is_alive():
            pass
        leave()
        return 0 if self.stop() else 1

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self._with_ticks())

    async def _with_ticks(self) -> None:
        async def tick() -> None:
            while True:
                self.services.health.tick()
                self._admission.admit()
                await asyncio.sleep(TICK_S)

        ticking = asyncio.create_task(tick())
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            ticking.cancel()

    def _settings(self) -> uvicorn.Config:
        config = self.config
        return uvicorn.Config(
            self._front,
            http=connection_class(config),
            loop="uvloop",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=config.keep_alive_s,
            ssl_certfile=config.tls_certificate,
            ssl_keyfile=config.tls_key,
        )

    def _finished(self, exchange: Exchange, status: int) -> None:
        exchange.ended = monotonic()
        self.services.metrics.finished(exchange, status)
        if self._log is not None:
            self._log.write(exchange, status)
        if self._tracing is not None:
            self._tracing.finished(exchange, status)

    def _show_numbers(self) -> None:
        watch, admission = self.services.metrics.watch, self._admission
        watch("gateway_in_flight", "Requests being worked on.", lambda: admission.in_flight)
        watch("gateway_waiting", "Requests in the queue.", lambda: admission.waiting)
        watch("gateway_in_flight_limit", "How many may be worked on now.", lambda: admission.limit.value(monotonic()))
        watch("gateway_shed", "Requests refused for want of room.", lambda: admission.shed, grows=True)
        if (log := self._log) is not None:
            watch("gateway_log_lines_dropped", "Lines that nobody read in time.", lambda: log.dropped, grows=True)
        watch("gateway_loop_still_seconds", "Since the event loop last moved.", self.services.health.still_s)


def _bound(config: GatewayConfig) -> socket.socket:
    """A listening-to-be socket; bound here, so that port 0 is known before anything runs."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((config.host, config.port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from error
    bound.setblocking(False)
    return bound


def _tracing(endpoint: str) -> Any:
    """A `tracing.Tracing`; its room is opened only now, since it takes a third of a second and an extra.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        return importlib.import_module("serving.gateway.tracing").Tracing(endpoint)
    except ImportError as error:
        raise ConfigError(
            f"traces for {endpoint} need OpenTelemetry, which is not installed ({error}): "
            "pip install 'slipway[otel]', or unset GATEWAY_TRACE_ENDPOINT"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _warn_if_open(config: GatewayConfig) -> None:
    if is_loopback(config.host) or (config.api_keys and config.tls_certificate):
        return
    lacking = " and ".join(
        name for name, given in (("API keys", config.api_keys), ("TLS", config.tls_certificate)) if not given
    )
    logger.warning("listening on %s without %s: whoever reaches this address may use it", config.host, lacking)
