"""Services: what the routes of one gateway share, made once at start."""

from dataclasses import dataclass

from flask import Flask, current_app, request

from serving.gateway.application import itself
from serving.gateway.auth import Keys
from serving.gateway.config import GatewayConfig
from serving.gateway.exchange import ENVIRON_KEY, Exchange
from serving.gateway.health import Health
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.routing import Routing
from serving.gateway.sampling import Sampler
from serving.gateway.shadow import Shadow
from serving.gateway.upstream import Upstream

EXTENSION = "gateway"


@dataclass(slots=True)
class Services:
    """Everything that outlives a request."""

    config: GatewayConfig
    upstream: Upstream
    keys: Keys
    health: Health
    metrics: GatewayMetrics
    routing: Routing
    shadow: Shadow
    sampler: Sampler | None

    def start(self) -> None:
        """Start the threads beside the requests'."""
        self.health.start()
        self.shadow.start()
        if self.sampler is not None:
            self.sampler.start()

    def stop(self) -> None:
        """End them."""
        self.health.stop()
        self.shadow.close()
        if self.sampler is not None:
            self.sampler.close()


def build(config: GatewayConfig, upstream: Upstream) -> Services:
    """Services as `config` wants them; nothing runs yet."""
    metrics = GatewayMetrics()
    return Services(
        config,
        upstream,
        Keys(config.api_keys),
        Health(config, upstream),
        metrics,
        Routing(config.routing, upstream, metrics),
        Shadow(upstream, metrics),
        None if config.sample_folder is None else Sampler(config.sample_folder, config, metrics),
    )


def attach(app: Flask, services: Services) -> None:
    """Let the routes of `app` find their services."""
    app.extensions[EXTENSION] = services


def services() -> Services:
    """Those of the app that answers the current request."""
    found = itself(current_app).extensions[EXTENSION]
    assert isinstance(found, Services)
    return found


def exchange() -> Exchange:
    """The current request's, which `front.py` or `app.py` put into the environ."""
    found = itself(request).environ[ENVIRON_KEY]
    assert isinstance(found, Exchange)
    return found
