"""The page in a real browser: what a person does, and what they see. Screenshots go to build/screenshots."""

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize

from serving.gateway.view import view
from serving.preprocess.image import to_pixels
from tests.gateway.caller import GREEN, RED, Caller
from tests.gateway.classifiers import COLORS, Classifiers
from tests.gateway.conftest import Serve
from tests.processes import CHECKOUT

PHONE: ViewportSize = {"width": 360, "height": 740}


def photo(data: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": data}


def keep(page: Page, name: str) -> None:
    folder = CHECKOUT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_a_chosen_photo_gets_its_label_with_bars_version_and_times(page: Page) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo(RED))
    page.locator("#best", has_text="red").wait_for()

    assert page.locator("#bars li").count() == 3
    facts = page.locator("#facts").inner_text()
    assert "version 1" in facts
    assert "predicting" in facts
    assert f"{COLORS.input.width} \u00d7 {COLORS.input.height}" in page.locator("#seen-size").inner_text()  # type: ignore[union-attr]
    keep(page, "picture")


def test_the_picture_shown_is_the_one_that_the_model_was_asked(page: Page) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo(RED))
    page.locator("#best", has_text="red").wait_for()
    shown = page.locator("#pixels").get_attribute("src") or ""
    coded = shown.removeprefix("data:image/png;base64,")

    assert coded == view(to_pixels(RED, COLORS.input))  # type: ignore[arg-type]


def test_an_unusual_picture_is_marked(browser: Browser, serve: Serve) -> None:
    upstream = Classifiers(replace(COLORS, anomaly_threshold=0.3))
    upstream.measures_anomaly = {("colors", 1)}
    page = browser.new_page()
    page.goto(serve(upstream).gateway.url)
    page.get_by_role("combobox").get_by_text("colors").wait_for(state="attached")
    page.get_by_label("Choose a photo").set_input_files(photo(RED))
    page.get_by_text("do not trust the answer").wait_for()
    keep(page, "unusual")

    assert "flagged above 0.300" in page.locator("#facts").inner_text()
    assert "unusual" in page.locator("#strip").inner_text()
    page.close()


def test_a_dropped_photo_is_taken(page: Page) -> None:
    page.evaluate(
        """(bytes) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "g.jpg", {type: "image/jpeg"}));
            document.getElementById("drop").dispatchEvent(
                new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true}));
        }""",
        list(GREEN),
    )
    page.locator("#best", has_text="green").wait_for()


def test_a_pasted_photo_is_taken(page: Page) -> None:
    page.evaluate(
        """(bytes) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], "p.jpg", {type: "image/jpeg"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true}));
        }""",
        list(GREEN),
    )
    page.locator("#best", has_text="green").wait_for()


def test_a_pasted_review_lands_in_its_box_wherever_it_is_pasted(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("moods")
    page.evaluate(
        """() => {
            const carried = new DataTransfer();
            carried.setData("text/plain", "such a good film");
            document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true}));
        }"""
    )
    page.get_by_role("button", name="Classify").click()
    page.locator("#best", has_text="good, 90.0 %").wait_for()


def test_a_review_gets_its_label(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("moods")
    page.get_by_label("Review").fill("such a good film")
    page.get_by_role("button", name="Classify").click()
    page.locator("#best", has_text="good, 90.0 %").wait_for()
    keep(page, "review")


def test_a_text_file_is_refused_in_words(page: Page) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo(b"hello", "notes.txt", "text/plain"))

    assert "notes.txt is not a photo" in page.get_by_role("alert").inner_text()


def test_what_only_claims_to_be_a_photo_is_refused_in_words(page: Page) -> None:
    page.get_by_label("Choose a photo").set_input_files(photo(b"hello"))
    page.locator("#problem:not(:empty)").wait_for()

    assert "picture" in page.get_by_role("alert").inner_text().lower()
    assert page.locator("#answer").is_hidden()


def test_answers_so_far_stand_in_a_strip(page: Page) -> None:
    for data in (RED, GREEN):
        page.get_by_label("Choose a photo").set_input_files(photo(data))
        page.locator("#best", has_text="red" if data is RED else "green").wait_for()

    assert page.locator("#strip li strong").all_inner_texts() == ["green", "red"]


def test_the_cards_of_all_models_can_be_opened(page: Page) -> None:
    page.get_by_text("colors, version 1").click()

    assert page.get_by_text("image classification").is_visible()
    assert page.get_by_text("90.0 % of 30 test examples").is_visible()
    matrix = page.get_by_role("region", name="Confusion matrix")
    assert matrix.locator("tr").nth(3).locator("td").all_inner_texts() == ["2", "0", "8"]
    assert page.locator("#cards details").count() == 3


def test_it_works_with_the_keyboard_alone(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("moods")
    page.get_by_label("Review").focus()
    page.keyboard.type("good")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#best", has_text="good, 90.0 %").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(page: Page, scheme: str) -> None:
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.get_by_label("Choose a photo").set_input_files(photo(RED))
    page.locator("#best", has_text="red").wait_for()
    keep(page, f"phone-{scheme}")

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_every_control_has_a_name_and_every_text_enough_contrast(page: Page) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, a, img, canvas")]
            .filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute("aria-label")
                || each.getAttribute("alt")))
            .map((each) => each.outerHTML)"""
    )
    assert nameless == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for name in ("--ink", "--quiet", "--accent", "--alarm"):
            assert contrast(page, name, "--paper") >= 4.5, (scheme, name)
        assert contrast(page, "--on-accent", "--accent") >= 4.5


def contrast(page: Page, front: str, back: str) -> float:
    """The ratio of WCAG between two of the page's colors."""
    read = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    found = [str(page.evaluate(read, name)) for name in (front, back)]
    darker, lighter = sorted(map(luminance, found))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    shares = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_documentation_tries_an_operation(page: Page, gateway: Caller) -> None:
    page.goto(f"{gateway.gateway.url}/docs#not-found")
    page.locator("#not-found").wait_for()
    page.locator("summary", has_text="/v1/models/{model}/classify").click()
    form = page.locator("#classify_items form")
    form.get_by_label("model", exact=True).fill("moods")
    form.get_by_label("or text").fill("good")
    form.get_by_role("button", name="Try it").click()
    form.locator("pre", has_text='"label": "good"').wait_for()
    keep(page, "docs")
