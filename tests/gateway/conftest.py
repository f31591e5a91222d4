"""Running gateways, ready to be asked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from serving.gateway.config import GatewayConfig
from serving.gateway.server import Gateway
from serving.gateway.upstream import Upstream
from tests.gateway.caller import Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers

Serve = Callable[..., Caller]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a gateway on a port of the system's choice, in front of an upstream; stops with the test."""
    with ExitStack() as stack:

        def started(upstream: Upstream, **settings: Any) -> Caller:
            config = GatewayConfig(**{"port": 0, "access_log": False, "grace_s": 5.0} | settings)
            return stack.enter_context(Caller(stack.enter_context(Gateway(config, upstream))))

        yield started


@pytest.fixture(scope="session")
def classifiers() -> Classifiers:
    """Two models with cards, one without."""
    return Classifiers(COLORS, MOODS, bare=("plain",))


@pytest.fixture(scope="session")
def gateway(classifiers: Classifiers) -> Iterator[Caller]:
    """One gateway for all tests that leave no trace in it."""
    config = GatewayConfig(port=0, access_log=False, max_items=8, max_body_bytes=200_000)
    with Gateway(config, classifiers) as running, Caller(running) as caller:
        yield caller
