"""Spread: a histogram for Prometheus that costs a search among its bounds and two additions a value.

prometheus_client's own walks its buckets one by one and takes a lock for each of its numbers. Here whoever
counts holds a lock already (`metrics.py` counts many answers at once), and nothing else is left out: a page
has the same lines, with exemplars and times of creation.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, metrics
from prometheus_client.core import Exemplar, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


@dataclass(slots=True)
class Series:
    """The values of one set of labels."""

    bounds: Sequence[float]
    counts: list[int]
    """Of the values up to each bound and above the one before it; the last of those above all."""
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)
    """The newest of each bucket that has one."""
    created: float = field(default_factory=time.time)

    def observe(self, value: float, trace_id: str = "") -> None:
        """Take in one value; not from two threads at once."""
        place = bisect_left(self.bounds, value)
        self.counts[place] += 1
        self.total += value
        if trace_id:
            self.exemplars[place] = Exemplar({"trace_id": trace_id}, value, time.time())


class Spread(Collector):
    """The histogram of one name."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], *, registry: CollectorRegistry, buckets: Sequence[float]
    ) -> None:
        self._name, self._text, self._labels, self._bounds = name, text, tuple(labels), tuple(map(float, buckets))
        self._written = [*map(floatToGoString, self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def of(self, *values: str) -> Series:
        """The series with these label values."""
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = Series(self._bounds, [0] * len(self._written))
        return found

    def forget(self, *first: str) -> None:
        """Remove the series whose label values begin with these."""
        for values in [values for values in list(self._series) if values[: len(first)] == first]:
            self._series.pop(values, None)

    def collect(self) -> Iterator[Metric]:
        """The page's lines."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, series in list(self._series.items()):
            family.add_metric(values, list(self._buckets(series)), series.total)
            if metrics._use_created:  # PROMETHEUS_DISABLE_CREATED_SERIES settles it for the client's own
                labels = dict(zip(self._labels, values, strict=True))
                family.add_sample(f"{self._name}_created", labels, series.created)
        yield family

    def _buckets(self, series: Series) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
        """Bound, values up to it, and the exemplar if there is one."""
        so_far = 0
        for place, (bound, count) in enumerate(zip(self._written, list(series.counts), strict=True)):
            so_far += count
            exemplar = series.exemplars.get(place)
            yield (bound, so_far) if exemplar is None else (bound, so_far, exemplar)
