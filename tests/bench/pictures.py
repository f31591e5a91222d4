"""Pictures of figures: bars side by side and curves, as SVG for the README and PNG for everybody else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

Point = tuple[float, float]


def save(figure: Figure, out: Path, name: str) -> None:
    """Write NAME.svg and NAME.png; neither holds a date, so the same figures give the same files."""
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / f"{name}.svg", metadata={"Date": None})
    figure.savefig(out / f"{name}.png", dpi=150)


def bars(values: Mapping[str, tuple[float, float, float]], title: str, unit: str, ours: frozenset[str]) -> Figure:
    """A horizontal bar for each name: median, lowest and highest; `ours` stand out in color."""
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(values)), layout="constrained")
    axes = figure.subplots()
    names = list(values)[::-1]
    for place, name in enumerate(names):
        median, lowest, highest = values[name]
        axes.barh(place, median, color="#2a6f97" if name in ours else "#b0b7bd")
        axes.plot((lowest, highest), (place, place), color="black", linewidth=1)
        axes.annotate(f" {median:.3g}", (highest, place), va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel(unit)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def stacked(rows: Mapping[str, Sequence[tuple[str, float]]], title: str, unit: str) -> Figure:
    """One bar a row, made of named parts."""
    figure = Figure(figsize=(9, 1.6 + 0.7 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for parts in rows.values() for name, _ in parts))
    shades = {name: f"C{place}" for place, name in enumerate(names)}
    for place, parts in enumerate(rows.values()):
        left = 0.0
        for name, value in parts:
            axes.barh(place, value, left=left, color=shades[name], label=name)
            left += value
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.08))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_xlabel(unit)
    figure.suptitle(title, fontsize=10)
    return figure


def curves(lines: Mapping[str, Sequence[Point]], title: str, across: str, up: str, mark: float | None = None) -> Figure:
    """Lines over a common axis, logarithmic upwards; `mark` is a place on the axis, such as saturation."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    if mark is not None:
        axes.axvline(mark, color="grey", linestyle=":", label="saturation, closed loop")
    axes.set_yscale("log")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, fontsize=10)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    return figure
