"""The report of a run: one HTML file to look at and to pass on, and its plots as PNG.

    run.json, answers-*.npz, anomaly.npz, examples.json  ->  report.html, plots/*.png

It reads the run's folder alone, so it can be made again when the data set is gone. `plots.py` draws,
`report_page.py` is the HTML.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serving.errors import NotFound
from serving.repository import write_whole
from training import calibration, plots, report_page
from training.report_page import Section
from training.run_folder import Answers, RunFolder


@dataclass(slots=True)
class _Run:
    """What is known of a run; parts that it has not come to are empty."""

    folder: RunFolder
    facts: Mapping[str, Any]
    test: Answers | None
    scores: Mapping[str, NDArray[Any]]
    examples: list[dict[str, Any]]
    drawn: dict[str, str] = field(default_factory=dict)
    """Plot to its HTML, in the order in which they are drawn."""

    @property
    def labels(self) -> list[str]:
        return list(self.facts.get("labels", []))

    @property
    def figures(self) -> Mapping[str, Any]:
        return self.facts.get("figures") or {}

    def draw(self, key: str, figure: Figure, text: str, caption: str = "") -> str:
        """Keep a plot as PNG beside the report, and return its HTML."""
        picture = plots.written(figure)
        write_whole(self.folder.plots / f"{key}.png", lambda file: file.write(picture))
        return report_page.plot(key, base64.b64encode(picture).decode(), text, caption)


def write(folder: RunFolder) -> Path:
    """Make the report of a run, finished or not; returns the HTML file.

    Raises:
        NotFound: there is no run in the folder.
        OSError: no space or no permission.
    """
    run = _read(folder)
    facts = run.facts
    sections = (
        Section("learning", "Learning", tuple(_learning(run))),
        Section("answers", "Answers", tuple(_answers(run))),
        Section("classes", "Classes", tuple(_classes(run))),
        Section("trust", "Damage and foreign pictures" if run.scores else "Damage", tuple(_trust(run))),
        Section("wrong", "Most wrong", tuple(_shown(run, "wrong"))),
        Section("samples", "Samples", tuple(_shown(run, "sample"))),
        Section("settings", "Settings", tuple(_settings(facts))),
    )
    data = facts.get("dataset", {})
    about = (
        f"Recipe {facts.get('recipe', '?')}, seed {facts.get('seed', '?')}, run {folder.path.name}. Data: "
        f"{data.get('name', '?')}, {data.get('train', 0)} examples to learn from, {data.get('validation', 0)} "
        f"to choose by, {data.get('test', 0)} to measure on, looked at once."
    )
    html = report_page.page(str(facts.get("name", "run")), about, _tiles(run), sections)
    write_whole(folder.report, lambda file: file.write(html.encode(errors="backslashreplace")))
    return folder.report


def latest(runs: Path, run: str) -> RunFolder:
    """The run of that folder, or the latest run of the model of that name.

    Raises:
        NotFound: there is neither.
    """
    if (Path(run) / "run.json").is_file():
        return RunFolder.open(Path(run))
    there = sorted((runs / run).glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if not there:
        raise NotFound(f"{run} is neither the folder of a run nor a model that has one in {runs}")
    return RunFolder.open(there[-1].parent)


def _read(folder: RunFolder) -> _Run:
    try:
        test = folder.answers("test")
    except NotFound:
        test = None
    scores: dict[str, NDArray[Any]] = {}
    if (path := folder.path / "anomaly.npz").is_file():
        with np.load(path, allow_pickle=False) as arrays:
            scores = {kind: arrays[kind] for kind in arrays.files}
    listed = folder.path / "examples.json"
    return _Run(folder, folder.read(), test, scores, json.loads(listed.read_text()) if listed.is_file() else [])


def _tiles(run: _Run) -> Iterator[str]:
    found = run.figures
    if "rmse" in found:
        yield report_page.tile("Root mean squared error", f"{found['rmse']:.4g}", f"on {found['examples']} examples")
        yield report_page.tile("Mean absolute error", f"{found['mae']:.4g}")
        yield report_page.tile("R²", f"{found['r2']:.3f}")
    if "accuracy" not in found:
        return
    low, high = found["accuracy_low"], found["accuracy_high"]
    yield report_page.tile("Accuracy", f"{found['accuracy']:.2%}", f"{low:.1%} to {high:.1%}, with 95 % certainty")
    if (before := found.get("calibration_error_unscaled")) is not None:
        more = f"{before:.2%} before scaling, {found['calibration_floor']:.2%} by chance alone"
        yield report_page.tile("Calibration error", f"{found['calibration_error']:.2%}", more)
    yield report_page.tile("Macro-F1", f"{found['macro_f1']:.3f}", f"log loss {found['log_loss']:.3f}")
    if found.get("anomaly"):
        others = {round(share, 2) for kind, share in found["anomaly"].items() if kind != "test"}
        more = f"of foreign pictures; false alarms {found['anomaly']['test']:.1%}"
        yield report_page.tile("Flagged", f"{min(others):.0%}" + (" or more" if len(others) > 1 else ""), more)


def _learning(run: _Run) -> Iterator[str]:
    phases = [phase for phase in run.facts.get("phases", []) if phase.get("epochs", {}).get("loss")]
    if not phases:
        return
    shown = [run.draw("loss", plots.curves(phases, "loss", "Loss"), "Training and validation loss by epoch")]
    for measure, title in (("accuracy", "Accuracy"), ("mae", "Mean absolute error")):
        if any(measure in phase["epochs"] for phase in phases):
            figure = plots.curves(phases, measure, title)
            shown.append(run.draw(measure, figure, f"Training and validation {title.lower()} by epoch"))
    if any(phase["epochs"].get("learning_rate") for phase in phases):
        shown.append(run.draw("schedule", plots.schedule(phases), "Learning rate by epoch"))
    yield report_page.paragraph(_verdict(phases))
    yield report_page.plots(shown)


def _verdict(phases: list[Mapping[str, Any]]) -> str:
    """Where overfitting begins, in words."""
    for phase in phases:
        checked = phase["epochs"].get("val_loss")
        if checked and (place := plots.overfits_from(phase["epochs"]["loss"], checked)) is not None:
            return (
                f"In the phase “{phase['name']}” overfitting begins after epoch {place}: from there on the loss falls "
                "on the examples that the network learns from and rises on those that it does not."
            )
    return "No overfitting to be seen: the loss on the validation split ends within 2 % of its best."


def _answers(run: _Run) -> Iterator[str]:
    if run.test is None:
        return
    if not run.labels:
        figure = plots.values(run.test.labels, run.test.probabilities.reshape(-1))
        yield report_page.plots([run.draw("values", figure, "Answers against the truth")])
        return
    served = run.test.probabilities.astype(np.float64)
    right = served.argmax(axis=1) == run.test.labels
    before = None
    if temperature := run.figures.get("temperature"):
        unscaled = calibration.scaled(served, 1 / temperature)
        before = calibration.reliability(unscaled.max(axis=1), right)
    figure = plots.reliability(calibration.reliability(served.max(axis=1), right), before)
    said = f"How often answers of each sureness are right; temperature {temperature:.2f}" if temperature else ""
    shown = []
    if "confusion" in run.figures:
        counts = np.array(run.figures["confusion"])
        shown.append(run.draw("confusion", plots.confusion(counts, run.labels), "Confusion matrix: truth in rows"))
    shown.append(run.draw("reliability", figure, said, "The small number is how many answers were so sure."))
    yield report_page.plots(shown)


def _classes(run: _Run) -> Iterator[str]:
    if "confusion" not in run.figures:
        return
    counts = np.array(run.figures["confusion"])
    rows = []
    for place, label in enumerate(run.labels):
        hits, true, said = counts[place, place], counts[place].sum(), counts[:, place].sum()
        recall, precision = hits / max(true, 1), hits / max(said, 1)
        mean = 2 * hits / max(true + said, 1)
        others = np.where(np.arange(len(counts)) == place, 0, counts[place])
        taken = f"{run.labels[int(others.argmax())]} ({others.max()})" if others.any() else "-"
        rows.append((label, f"{true}", f"{recall:.1%}", f"{precision:.1%}", f"{mean:.3f}", taken))
    yield report_page.table(("Class", "Examples", "Recall", "Precision", "F1", "Most often taken for"), rows)


def _trust(run: _Run) -> Iterator[str]:
    found, shown = run.figures, []
    if found.get("robustness"):
        figure = plots.bars(found["robustness"], "Accuracy with damage", "accuracy")
        shown.append(run.draw("robustness", figure, "Accuracy on damaged copies of test examples"))
    if run.scores and "anomaly_threshold" in run.facts:
        figure = plots.scores(run.scores, float(run.facts["anomaly_threshold"]))
        text = "Anomaly scores of ordinary and foreign pictures, and the threshold"
        shown.append(run.draw("anomaly", figure, text, "Orange: flagged. One dot is one picture."))
    if shown:
        yield report_page.plots(shown)
    if found.get("anomaly"):
        areas = found.get("auroc", {})
        rows = [
            (
                "test examples (false alarms)" if kind == "test" else kind,
                f"{share:.1%}",
                f"{areas[kind]:.4f}" if kind in areas else "-",
            )
            for kind, share in found["anomaly"].items()
        ]
        yield report_page.table(("Shown", "Flagged", "AUROC against test examples"), rows)


def _shown(run: _Run, group: str) -> Iterator[str]:
    chosen = [one for one in run.examples if one["group"] == group]
    if not chosen:
        return
    if group == "wrong":
        yield report_page.paragraph("Wrong answers on the test split, those first that gave the truth the least.")
    yield report_page.examples([_card(one, run.labels) for one in chosen], wide="text" in chosen[0])


def _card(one: Mapping[str, Any], labels: list[str]) -> str:
    said = int(np.argmax(one["probabilities"]))
    share = float(one["probabilities"][said])
    truth, answer = escape(labels[one["truth"]]), escape(labels[said])
    if said == one["truth"]:
        words = f"<b>{answer}</b>, {share:.1%} sure"
    else:
        words = f'is <b>{truth}</b>, said <span class="wrong">{answer}</span>, {share:.1%} sure'
    looks = ""
    if "picture" in one:
        looks = f'<img alt="{escape(one["name"])}" src="data:image/jpeg;base64,{one["picture"]}">'
    elif "text" in one:
        looks = f'<div class="text" tabindex="0">{escape(one["text"])}</div>'
    return report_page.example(looks, words, one["name"], share)


def _settings(facts: Mapping[str, Any]) -> Iterator[str]:
    chosen = {**facts.get("options", {}), **facts.get("settings", {})}
    if chosen:
        rows = [(str(name), str(value)) for name, value in chosen.items()]
        yield report_page.table(("Setting", "Value"), rows)
