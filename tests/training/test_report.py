"""The report of a run as a person meets it: in a real browser, wide and on a phone."""

import base64
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from serving.errors import NotFound
from tests.processes import CHECKOUT
from training import anomaly, calibration, plots, quality, report
from training.run_folder import Answers, RunFolder

LABELS = ["cat", "dog", "<script>alert('label')</script>"]
HOSTILE = '<img src=x onerror="console.error(\'ran\')"> & a "quote"'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, of this module alone."""
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


def picture(color: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (color, 90, 160)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def phase(name: str, count: int, best: int, kept: bool = True) -> dict[str, Any]:
    """A phase whose validation loss is best at one epoch and rises from there."""
    place = np.arange(1, count + 1)
    losses = {"loss": 1 / place, "val_loss": 0.5 + 0.02 * (place - best) ** 2, "learning_rate": 0.01 / place}
    shares = {"accuracy": 1 - 0.3 / place, "val_accuracy": 0.9 - 0.002 * (place - best) ** 2}
    return {"name": name, "kept": kept, "epochs": {key: value.tolist() for key, value in (losses | shares).items()}}


def made(runs: Path, name: str, **looks: str) -> RunFolder:
    """A run as training writes it, with answers drawn by chance."""
    random = np.random.default_rng(0)
    folder = RunFolder.create(runs, name, 7)
    probabilities = random.dirichlet([3.0, 0.6, 0.3], 120)
    labels = (probabilities.cumsum(axis=1) > random.random((120, 1))).argmax(axis=1)
    found = asdict(quality.measure(probabilities, labels)) | {
        "temperature": 1.4,
        "calibration_error_unscaled": 0.08,
        "robustness": {"as they are": 0.9, "JPEG quality 20": 0.7},
        "anomaly": {"test": 0.01, "noise": 1.0},
        "auroc": {"noise": 0.999},
    }
    folder.write_answers(
        "test", Answers(probabilities.astype(np.float32), labels, [f"{row}.jpg" for row in range(120)])
    )
    scores = {
        "validation": random.normal(1, 0.1, 80),
        "test": random.normal(1, 0.1, 120),
        "noise": random.normal(3, 0.2, 50),
    }
    np.savez(folder.path / "anomaly.npz", **scores)  # type: ignore[arg-type]
    examples = [
        {"group": group, "name": HOSTILE, "truth": 0, "probabilities": [0.2, 0.7, 0.1], "score": 1.0, **looks}
        for group in ["wrong"] * 25 + ["sample"] * 12
    ]
    (folder.path / "examples.json").write_text(json.dumps(examples))
    folder.update(
        name=name, recipe=name, seed=7, labels=LABELS, dataset={"name": "drawn", "train": 9, "test": 120},
        phases=[phase("head", 12, 4), phase("fine-tuning", 5, 2, kept=False)], settings={"dropout": 0.5}, figures=found,
        anomaly_threshold=anomaly.threshold(scores["validation"]),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = made(tmp_path_factory.mktemp("runs"), "pets", picture=picture(200))
    report.write(folder)
    return folder


@pytest.mark.parametrize(("place", "width"), [("wide", 1200), ("phone", 360)])
def test_it_opens_without_a_fault_and_everything_is_there(
    browser: Browser, pictures: RunFolder, place: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    faults: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pictures.report.as_uri())

    drawn = ("loss", "accuracy", "schedule", "confusion", "reliability", "robustness", "anomaly")
    for name in drawn:
        plot = page.locator(f"#plot-{name}")
        assert plot.evaluate("image => image.complete && image.naturalWidth > 100"), name
        assert plot.get_attribute("alt")
    assert page.locator("#wrong .example img").count() == 25
    assert page.locator("#samples .example img").count() == 12
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it has to be pushed sideways"
    assert page.locator("#classes tbody tr").count() == 3
    assert "overfitting begins after epoch 4" in page.locator("#learning").inner_text()
    assert HOSTILE in page.locator("#wrong").inner_text()
    assert faults == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    keep = CHECKOUT / "build" / "screenshots"
    keep.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=keep / f"report-{place}.png", full_page=True)
    page.close()


def test_the_same_plots_lie_beside_it_as_png(pictures: RunFolder) -> None:
    found = {path.stem: path for path in pictures.plots.glob("*.png")}

    assert set(found) == {"loss", "accuracy", "schedule", "confusion", "reliability", "robustness", "anomaly"}
    for path in found.values():
        with Image.open(path) as plot:
            assert min(plot.size) > 200


def test_texts_are_shown_as_they_are(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(report.write(made(tmp_path, "reviews", text=HOSTILE)).as_uri())

    assert page.locator("#wrong .text").first.inner_text() == HOSTILE
    assert page.locator("#wrong img").count() == 0
    page.close()


def test_names_of_files_and_labels_that_are_no_utf_8_are_written_as_escapes(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "old", 0)
    folder.update(name="old", labels=["a", "caf\udce9"], phases=[])
    example = {"group": "wrong", "name": "\udcff.jpg", "truth": 1, "probabilities": [0.9, 0.1], "score": None}
    (folder.path / "examples.json").write_text(json.dumps([example]))

    text = report.write(folder).read_text(encoding="utf-8")

    assert "\\udcff.jpg" in text
    assert "caf\\udce9" in text


def test_a_run_that_has_only_begun_has_a_report_too(browser: Browser, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "young", 0)
    folder.update(name="young", labels=["a", "b"], phases=[phase("training", 3, 3)])
    page = browser.new_page()
    page.goto(report.write(folder).as_uri())

    assert page.locator("section").count() == 1
    assert "No overfitting to be seen" in page.locator("#learning").inner_text()
    page.close()


def test_a_run_killed_between_its_answers_and_its_figures_has_a_report_too(browser: Browser, tmp_path: Path) -> None:
    folder = made(tmp_path, "killed", picture=picture(90))
    facts = {name: fact for name, fact in folder.read().items() if name not in {"figures", "anomaly_threshold"}}
    (folder.path / "run.json").write_text(json.dumps(facts))
    page = browser.new_page()
    page.goto(report.write(folder).as_uri())

    assert page.locator("#plot-reliability").count() == 1
    assert page.locator("#plot-confusion").count() == 0
    assert page.locator("#wrong .example img").count() == 25
    page.close()


def test_the_latest_run_of_a_model_is_found_by_its_name(pictures: RunFolder) -> None:
    runs = pictures.path.parent.parent

    assert report.latest(runs, "pets").path == pictures.path
    assert report.latest(runs, str(pictures.path)).path == pictures.path
    with pytest.raises(NotFound, match="dogs is neither the folder of a run nor a model that has one"):
        report.latest(runs, "dogs")


@pytest.mark.parametrize(
    ("losses", "validation", "begins"),
    [
        pytest.param([3, 2, 1, 0.5], [3, 2, 2.5, 3], 2, id="rises"),
        pytest.param([3, 2, 1, 0.5], [3, 2, 1.5, 1.51], None, id="level"),
        pytest.param([3, 2, 2, 2.5], [3, 2, 2.5, 3], None, id="both-rise"),
    ],
)
def test_overfitting_begins_where_the_losses_part(
    losses: list[float], validation: list[float], begins: int | None
) -> None:
    assert plots.overfits_from(losses, validation) == begins


def test_hundreds_of_classes_and_empty_ones_are_drawn(tmp_path: Path) -> None:
    counts = np.zeros((100, 100), int)
    figure = plots.confusion(counts, [f"a class with a long name {place}" for place in range(100)])
    empty = calibration.reliability(np.array([0.6]), np.array([True]))

    for drawn in (figure, plots.reliability(empty, None)):
        assert plots.written(drawn)[:4] == b"\x89PNG"
