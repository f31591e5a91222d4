"""axe-core finds nothing serious on the pages: light and dark, wide and narrow, with an answer and with an error.

The package is taken from npm once, as axe/package-lock.json pins it, and lies under build/ then.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize

from tests.gateway.caller import RED, Caller
from tests.gateway.test_page import PHONE, photo
from tests.processes import CHECKOUT

PINNED = Path(__file__).parent / "axe"
WIDE: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    folder = CHECKOUT / "build" / "axe"
    if (npm := shutil.which("npm")) is None:
        pytest.skip("needs npm: apt-get install npm")
    lock = (PINNED / "package-lock.json").read_bytes()
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.is_file() or (folder / "package-lock.json").read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PINNED / name, folder / name)
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=120,
        )
    return source.read_text("utf-8")


def answered(page: Page) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo(RED))
    page.locator("#best", has_text="red").wait_for()
    page.evaluate("document.getElementById('strange').hidden = false")


def refused(page: Page) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo(b"hello"))
    page.locator("#problem:not(:empty)").wait_for()


def reviewed(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("moods")
    page.get_by_label("Review").fill("such a good film")
    page.get_by_role("button", name="Classify").click()
    page.locator("#best", has_text="good").wait_for()


def findings(page: Page, axe: str) -> list[str]:
    """What axe calls serious or critical in any look, with everything on the page opened."""
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate(axe)
    found = []
    for size in (WIDE, PHONE):
        for scheme in ("light", "dark"):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            violations = page.evaluate("axe.run(document).then((found) => found.violations)")
            found += [f"{size['width']} {scheme} {said}" for each in violations for said in serious(each)]
    return found


def serious(violation: dict[str, Any]) -> list[str]:
    if violation["impact"] not in {"serious", "critical"}:
        return []
    return [f"{violation['id']}: {node['html'][:200]}" for node in violation["nodes"]]


@pytest.mark.parametrize("done", [answered, refused, reviewed])
def test_nothing_serious_is_found_on_the_page(page: Page, axe: str, done: Callable[[Page], None]) -> None:
    done(page)

    assert findings(page, axe) == []


def test_nothing_serious_is_found_in_the_documentation(page: Page, gateway: Caller, axe: str) -> None:
    page.goto(f"{gateway.gateway.url}/docs")
    page.locator("#not-found").wait_for()

    assert findings(page, axe) == []


def test_what_is_wrong_would_be_found(page: Page, axe: str) -> None:
    page.evaluate("document.querySelector('label[for=model]').remove()")

    assert any("select" in finding for finding in findings(page, axe))
