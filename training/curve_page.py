"""What a learning curve leaves: its figures as JSON, a plot of each measure as PNG, and one page with all of it.

    runs/<recipe>/learning-curve/learning-curve.json  learning-curve-<measure>.png  learning-curve.html

`learning_curve.py` measures; written again after every size, so that a study that is stopped leaves what it has.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from serving.repository import write_whole
from training import plots, report_page, tables
from training.learning_curve import Point


def write(points: Sequence[Point], page: Path, name: str) -> None:
    """Keep the figures and draw them; all lies beside the page.

    Raises:
        OSError: no space or no permission.
    """
    document = json.dumps([{"examples": point.examples, **point.found} for point in points], indent=1) + "\n"
    write_whole(page.with_name("learning-curve.json"), lambda file: file.write(document.encode()))
    drawn = [_drawn(points, page.parent, measure) for measure in points[0].found]
    seeds = len(next(iter(points[0].found.values())))
    many = f"the mean of {seeds} seeds, and from the lowest to the highest" if seeds > 1 else "one seed"
    about = f"Learning curve: the same test examples, after learning from fewer and from all examples; {many}."
    head, *rows = tables.rows_of_sizes(points)
    sections = (
        report_page.Section("curves", "Curves", (report_page.plots(drawn),)),
        report_page.Section("figures", "Figures", (report_page.table(head, rows),)),
    )
    html = report_page.page(name, about, (), sections)
    write_whole(page, lambda file: file.write(html.encode(errors="backslashreplace")))


def _drawn(points: Sequence[Point], folder: Path, measure: str) -> str:
    """One measure as a PNG file, and as HTML."""
    title = tables.MEASURES[measure]
    counts = [point.examples for point in points]
    rows = [(sum(values) / len(values), min(values), max(values)) for values in (one.found[measure] for one in points)]
    picture = plots.written(plots.sizes(counts, rows, f"{title} on the test split", percent=measure in tables.SHARES))
    write_whole(folder / f"learning-curve-{measure}.png", lambda file: file.write(picture))
    return report_page.plot(measure, base64.b64encode(picture).decode(), f"{title} by number of training examples")
