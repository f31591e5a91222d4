"""Sample tables, made by code, for the smallest worked examples: numbers in, a word or a number out.

`xor` is the oldest table that one layer cannot learn, `stock` a made-up share over some years. Nobody
measured them: they are samples and say so. `table_source.py` reads them as it reads a team's own file.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class SampleTable:
    """A CSV file that is written when it is asked for."""

    target: str
    write: Callable[[], bytes]


def _xor() -> bytes:
    """Points around the corners of a square; the answer is whether one of both is near 1 and the other near 0."""
    random = np.random.default_rng(_SEED)
    corners = random.integers(0, 2, (800, 2))
    points = corners + random.normal(0, 0.12, corners.shape)
    pairs = zip(points, corners, strict=True)
    rows = ((f"{a:.4f}", f"{b:.4f}", "yes" if one != other else "no") for (a, b), (one, other) in pairs)
    return _file(("a", "b", "either"), rows)


def _stock() -> bytes:
    """A share's days: a walk with a drift, and what it closes at on the day after."""
    random = np.random.default_rng(_SEED)
    steps = random.normal(0.0004, 0.014, 1001)
    closes = 80 * np.exp(np.cumsum(steps))
    spans = np.abs(random.normal(0, 0.009, (1001, 2)))
    volumes = np.exp(random.normal(0, 0.3, 1001)) * 2_000_000 * (1 + 30 * np.abs(steps))
    rows = []
    for day in range(1, 1000):
        opened = closes[day - 1] * (1 + random.normal(0, 0.003))
        high = max(opened, closes[day]) * (1 + spans[day, 0])
        low = min(opened, closes[day]) * (1 - spans[day, 1])
        prices = (f"{price:.2f}" for price in (opened, high, low, closes[day]))
        rows.append((*prices, round(volumes[day]), f"{closes[day + 1]:.2f}"))
    return _file(("open", "high", "low", "close", "volume", "next_close"), rows)


def _file(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


TABLES: Mapping[str, SampleTable] = {
    "sample_xor": SampleTable("either", _xor),
    "sample_stock": SampleTable("next_close", _stock),
}
