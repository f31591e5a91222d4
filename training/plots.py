"""Plots of a run: the numbers come in, a matplotlib figure goes out. The only room that draws.

`report.py` asks for them and writes each as PNG and into the report. Every figure stands alone: a
title, named axes with units, and colors that differ in brightness as well, for those who see none.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from training.calibration import Reliability

INK, GREY, BLUE, ORANGE = "#1d2733", "#9aa4b1", "#1f5fbf", "#c8570a"
_SIZE = (5.0, 3.5)
_STYLE: Any = {
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7eaee",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}

Phases = Sequence[Mapping[str, Any]]
"""As run.json has them: name, kept, epochs {measure: [one value an epoch]}."""


def written(figure: Figure) -> bytes:
    """The figure as a PNG file, twice as fine as it is shown in a report."""
    file = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(file, format="png", dpi=160)
    return file.getvalue()


def _axes(title: str, size: tuple[float, float] = _SIZE) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
    return figure, axes


def overfits_from(losses: Sequence[float], validation: Sequence[float]) -> int | None:
    """The epoch, from 1, after which the training loss goes on falling and the validation loss rises.

    None if the validation loss ends within 2 % of its best.
    """
    best = int(np.argmin(validation))
    if validation[-1] <= validation[best] * 1.02 or losses[-1] >= losses[best]:
        return None
    return best + 1


def curves(phases: Phases, measure: str, title: str) -> Figure:
    """Training against validation over all epochs; a dotted line where overfitting begins."""
    figure, axes = _axes(title)
    begin = 0
    for number, phase in enumerate(phases):
        learned, checked = (phase["epochs"].get(key, []) for key in (measure, f"val_{measure}"))
        epochs = np.arange(1, len(learned) + 1) + begin
        marker = "o" if len(learned) < 30 else ""
        first, last = number == 0, number == len(phases) - 1
        axes.plot(epochs, learned, "--", color=GREY, marker=marker, ms=4, label="training" if first else None)
        axes.plot(epochs, checked, color=BLUE, marker=marker, ms=4, lw=2, label="validation" if first else None)
        if measure == "loss" and checked and (place := overfits_from(learned, checked)) is not None:
            marked = any(line.get_label() == "overfitting begins" for line in axes.lines)
            label = None if marked else "overfitting begins"
            axes.axvline(begin + place, color=ORANGE, ls=":", lw=2, label=label)
        _phase_name(axes, phase, begin, first=first, last=last)
        begin += len(learned)
    if "accuracy" in measure:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    _legend(axes)
    return figure


def _phase_name(axes: Axes, phase: Mapping[str, Any], begin: int, *, first: bool, last: bool) -> None:
    """The name of a phase above its stretch of the plot, where there are several."""
    if first and last:
        return
    if not first:
        axes.axvline(begin + 0.5, color=GREY, lw=1)
    else:
        axes.set_title(axes.get_title(loc="left"), loc="left", pad=22, fontweight="bold")
    name = phase["name"] + ("" if phase.get("kept", True) else " (undone)")
    place = (1.0, 1.02) if last else (begin + 0.5, 1.02)
    across = "axes fraction" if last else "data"
    side = "right" if last else "left"
    axes.annotate(name, place, xycoords=(across, "axes fraction"), ha=side, va="bottom", fontsize=10, color=INK)


def _legend(axes: Axes) -> None:
    with matplotlib.rc_context(_STYLE):
        axes.legend(fontsize=11)


def schedule(phases: Phases) -> Figure:
    """The learning rate of every epoch."""
    figure, axes = _axes("Learning rate")
    begin = 0
    for number, phase in enumerate(phases):
        rates = phase["epochs"].get("learning_rate", [])
        axes.plot(np.arange(1, len(rates) + 1) + begin, rates, color=BLUE, marker="o", ms=4, lw=2)
        _phase_name(axes, phase, begin, first=number == 0, last=number == len(phases) - 1)
        begin += len(rates)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.3g}"))
    return figure


def confusion(counts: NDArray[Any], labels: Sequence[str]) -> Figure:
    """Truth in rows, answers in columns; shaded by the share of the row."""
    many = len(labels) > 12
    side = 5.0 if not many else min(12.0, 2.0 + 0.28 * len(labels))
    figure, axes = _axes("Confusion", (side, side * 0.8 if not many else side))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto" if not many else "equal")
    axes.grid(False)
    size = 12 if len(labels) <= 6 else 8
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column] and len(labels) <= 30:
            color = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=size)
    names = [label if len(label) <= 14 else f"{label[:13]}…" for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=90 if many else 20, ha="center" if many else "right")
    axes.set_yticks(range(len(labels)), names)
    axes.tick_params(labelsize=11 if not many else 7)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    return figure


def reliability(served: Reliability, unscaled: Reliability | None) -> Figure:
    """How often answers of each sureness are right; on the diagonal they are as good as they say."""
    figure, axes = _axes("Reliability on the test split")
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1.5, label="as sure as right")
    if unscaled is not None:
        label = f"before scaling, error {unscaled.error:.1%}"
        axes.plot(unscaled.confidence, unscaled.accuracy, "s", color=ORANGE, mfc="none", ms=6, label=label)
    axes.plot(
        served.confidence,
        served.accuracy,
        "-",
        marker="o",
        color=BLUE,
        ms=6,
        label=f"as served, error {served.error:.1%}",
    )
    for sure, right, count in zip(served.confidence, served.accuracy, served.count, strict=True):
        axes.annotate(f"{count}", (sure, right), xytext=(4, -13), textcoords="offset points", fontsize=9, color=INK)
    low = max(0.0, float(served.confidence.min()) - 0.1)
    axes.set_xlim(low, 1.02)
    axes.set_ylim(max(0.0, min(low, float(served.accuracy.min()) - 0.05)), 1.04)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("probability of the first place")
    axes.set_ylabel("share right")
    _legend(axes)
    return figure


def bars(shares: Mapping[str, float], title: str, label: str) -> Figure:
    """Named shares as horizontal bars, the first on top, each with its number."""
    figure, axes = _axes(title, (5.0, 1.3 + 0.36 * len(shares)))
    places = np.arange(len(shares))[::-1]
    values = list(shares.values())
    colors = [GREY] + [BLUE] * (len(shares) - 1)
    axes.barh(places, values, color=colors, height=0.66)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.01, place, f"{value:.1%}", va="center", fontsize=11)
    axes.set_yticks(places, list(shares))
    axes.set_xlim(0, 1.16)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label)
    return figure


def scores(kinds: Mapping[str, NDArray[Any]], threshold: float) -> Figure:
    """Anomaly scores of ordinary and foreign examples, one row each, and the threshold between them."""
    figure, axes = _axes("Anomaly scores", (5.0, 1.5 + 0.42 * len(kinds)))
    random = np.random.default_rng(0)
    for place, values in zip(range(len(kinds))[::-1], kinds.values(), strict=True):
        some = random.permutation(values)[:400]
        color = np.where(some > threshold, ORANGE, BLUE)
        axes.scatter(some, place + random.uniform(-0.26, 0.26, len(some)), c=color, s=7, alpha=0.5, linewidths=0)
    axes.axvline(threshold, color=INK, lw=1.5)
    axes.set_yticks(range(len(kinds))[::-1], list(kinds))
    axes.set_xlabel(f"score; above {threshold:.3g} it is flagged")
    axes.grid(axis="y", visible=False)
    return figure


def values(truth: NDArray[Any], said: NDArray[Any]) -> Figure:
    """Answers that are numbers against the truth."""
    figure, axes = _axes("Answers against the truth")
    ends = [float(min(truth.min(), said.min())), float(max(truth.max(), said.max()))]
    axes.plot(ends, ends, color=GREY, ls="--", lw=1.5)
    axes.scatter(truth, said, s=14, color=BLUE, alpha=0.6, linewidths=0)
    axes.set_xlabel("truth")
    axes.set_ylabel("answer")
    return figure


def sizes(counts: Sequence[int], rows: Sequence[tuple[float, float, float]], title: str, *, percent: bool) -> Figure:
    """A measure over the number of training examples: mean, lowest and highest of several seeds."""
    figure, axes = _axes(title)
    middle, low, high = (np.array(column) for column in zip(*rows, strict=True))
    axes.errorbar(counts, middle, (middle - low, high - middle), color=BLUE, marker="o", capsize=4)
    axes.set_xscale("log")
    axes.set_xticks(list(counts), [str(count) for count in counts])
    axes.minorticks_off()
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xlabel("training examples")
    return figure
