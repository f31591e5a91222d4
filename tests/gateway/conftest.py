"""Running gateways, ready to be asked."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium; of one module, since playwright's event loop and asyncio.run do not go together."""
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, gateway: Caller) -> Iterator[Page]:
    """The page, loaded; a message on the console or a request elsewhere fails the test."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "the server responded with a status of" not in message.text:
            complaints.append(message.text)

    page = browser.new_page()
    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: complaints.append(sent.url) if not _own(sent.url, gateway) else None)
    page.goto(gateway.gateway.url)
    page.get_by_role("combobox").get_by_text("colors").wait_for(state="attached")
    yield page
    page.close()
    assert complaints == []


def _own(url: str, gateway: Caller) -> bool:
    return url.startswith((gateway.gateway.url, "blob:", "data:"))
