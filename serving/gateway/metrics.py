"""What the gateway counts, on one page for Prometheus.

Label values come from closed lists only: models, versions and labels that were found to exist,
codes of `serving/errors.py`, routes and kinds of `exchange.py`. Nothing of a request is kept.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.card import ModelCard
from serving.gateway.documents import Said
from serving.gateway.exchange import Exchange

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STAGES = ("read", "queue", "decode", "predict", "encode", "total")
SHARES = tuple(step / 10 for step in range(1, 11))
SIDES = (32, 64, 128, 256, 512, 1024, 2048)
KILOBYTES = (1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6)
AT_ONCE = 64
"""Answers are counted so many at once, with everything that takes in the caches, or when the page is read."""
MOST_VERSIONS = 100
"""Versions whose series are kept; those of the version not heard of for longest go first."""

M = TypeVar("M", bound=MetricWrapperBase)


class Family(Generic[M]):
    """A metric whose children are found by one dict look-up instead of `labels()`, which costs ten times more."""

    def __init__(self, metric: M) -> None:
        self.metric = metric
        self._children: dict[tuple[str, ...], M] = {}

    def of(self, *values: str) -> M:
        """The child with these label values."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self.metric.labels(*values)
        return child

    def firsts(self) -> set[str]:
        """The first label value of every child."""
        return {values[0] for values in list(self._children)}

    def forget(self, *first: str) -> None:
        """Remove the children whose label values begin with these."""
        for values in [values for values in list(self._children) if values[: len(first)] == first]:
            if self._children.pop(values, None) is not None:
                self.metric.remove(*values)


class _Watched(Collector):
    """One number that lives elsewhere."""

    def __init__(
        self,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        read: Callable[[], float],
    ) -> None:
        self._kind, self._name, self._text, self._read = kind, name, text, read

    def collect(self) -> Iterator[Metric]:
        """The number as it is now."""
        yield self._kind(self._name, self._text, value=self._read())


class GatewayMetrics:
    """All metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        count, spread, version = self._count, self._spread, ["model", "version"]
        self._requests = count("gateway_requests", "Answers sent.", [*version, "route", "kind", "code", "status"])
        stages = "Time of each stage of a request, and of all together."
        self._stages = spread("gateway_stage_seconds", stages, [*version, "stage"], SECONDS)
        self._items = count("gateway_items", "Pictures and texts answered.", version)
        self._bytes = spread("gateway_body_bytes", "Size of bodies.", ["route"], KILOBYTES)
        retried = "Asked again, a version had gone."
        self._retried = Counter("gateway_retired_version_retries", retried, registry=self.registry)
        self._labels = count("gateway_predictions", "First labels.", [*version, "label"])
        self._confidence = spread("gateway_confidence", "First probability.", version, SHARES)
        self._anomalies = count("gateway_anomalies", "Items whose own score is above the card's threshold.", version)
        self._brightness = spread("gateway_picture_brightness", "Mean of 0 to 1.", version, SHARES)
        self._sides = count("gateway_canary_requests", "Where a canary is tried.", ["model", "side"])
        self._shadowed = count("gateway_shadow_items", "Items for a shadow version.", [*version, "outcome"])
        self._samples = count("gateway_samples", "Requests sampled for labeling.", ["outcome"])
        promised = "Share of each label among the answers on the card's test split."
        self._reference_labels = self._level("gateway_reference_label_share", promised, [*version, "label"])
        sure = "Mean first probability on the card's test split."
        self._reference_confidence = self._level("gateway_reference_confidence", sure, version)
        self._available = self._level("gateway_model_available", "1 while a version of it answers.", ["model"])
        self._longest = spread("gateway_picture_side_pixels", "Longer side of pictures as they came.", version, SIDES)
        self._ended: deque[tuple[Exchange, int]] = deque()
        self._waiting: deque[Callable[[], None]] = deque()
        self._settling = Lock()
        self._seen: dict[tuple[str, str], None] = {}
        self._referred: set[tuple[str, str]] = set()

    def _count(self, name: str, text: str, labels: list[str]) -> Family[Counter]:
        return Family(Counter(name, text, labels, registry=self.registry))

    def _spread(self, name: str, text: str, labels: list[str], buckets: Sequence[float]) -> Family[Histogram]:
        return Family(Histogram(name, text, labels, buckets=buckets, registry=self.registry))

    def _level(self, name: str, text: str, labels: list[str]) -> Family[Gauge]:
        return Family(Gauge(name, text, labels, registry=self.registry))

    def watch(self, name: str, text: str, read: Callable[[], float], *, grows: bool = False) -> None:
        """Show a number that lives elsewhere, read whenever the page is; `grows` makes it a counter."""
        self.registry.register(_Watched(CounterMetricFamily if grows else GaugeMetricFamily, name, text, read))

    def finished(self, exchange: Exchange, status: int) -> None:
        """Take in one answer; `status` is HTTP's, 499 where the caller had gone. Counted later, many at once."""
        self._ended.append((exchange, status))
        if len(self._ended) >= AT_ONCE:
            self._settle()

    def _settle(self) -> None:
        with self._settling:
            while self._ended:
                self._count_in(*self._ended.popleft())
            while self._waiting:
                self._waiting.popleft()()

    def _later(self, count: Callable[[], None]) -> None:
        """Have something counted with the rest; the limit is for whoever runs the app without its front."""
        self._waiting.append(count)
        if len(self._waiting) >= 4 * AT_ONCE:
            self._settle()

    def _count_in(self, exchange: Exchange, status: int) -> None:
        model, version = exchange.model, str(exchange.version or "")
        if model:
            self._remember(model, version)
        self._requests.of(model, version, exchange.route, exchange.kind, exchange.code, str(status)).inc()
        if exchange.route not in {"classify", "rest"}:
            return
        self._bytes.of(exchange.route).observe(exchange.bytes_in)
        if exchange.retried:
            self._retried.inc()
        if not model:
            return
        if exchange.side:
            self._sides.of(model, exchange.side).inc()
        exemplar = {"trace_id": exchange.trace_id}
        for stage in STAGES[:-1]:
            self._stages.of(model, version, stage).observe(getattr(exchange, f"{stage}_s"))
        self._stages.of(model, version, "total").observe(exchange.total_s(), exemplar)

    def predicted(self, card: ModelCard, model: str, answers: Sequence[Said]) -> None:
        """Count what was answered: the mix of labels, how sure, how unusual. Later, with what ended."""
        named = [(answer["label"], answer["probability"]) for answer in answers if "label" in answer]
        flags = [answer["anomaly"]["flagged"] for answer in answers if "anomaly" in answer]
        self._later(partial(self._count_answers, card, model, len(answers), named, flags))

    def _count_answers(
        self, card: ModelCard, model: str, items: int, named: list[tuple[str, float]], flags: list[bool]
    ) -> None:
        version = str(card.version)
        if (model, version) not in self._referred:
            self._refer(card, model, version)
        self._items.of(model, version).inc(items)
        confidence = self._confidence.of(model, version)
        for label, probability in named:
            self._labels.of(model, version, label).inc()
            confidence.observe(probability)
        if flags:
            self._anomalies.of(model, version).inc(sum(flags))

    def _refer(self, card: ModelCard, model: str, version: str) -> None:
        """Show what the card measured beside what is answered now, so that a rule can compare the two."""
        self._referred.add((model, version))
        if (quality := card.quality) is None or not quality.examples:
            return
        for place, label in enumerate(card.labels):
            share = sum(row[place] for row in quality.confusion) / quality.examples
            self._reference_labels.of(model, version, label).set(share)
        if quality.mean_confidence is not None:
            self._reference_confidence.of(model, version).set(quality.mean_confidence)

    def looked(self, available: Mapping[str, bool]) -> None:
        """Take in which models answer now; what is not among them is not shown any more."""
        for model, answers in available.items():
            self._available.of(model).set(answers)
        for model in self._available.firsts() - available.keys():
            self._available.forget(model)

    def pictured(self, card: ModelCard, model: str, pixels: NDArray[np.uint8], sides: Sequence[int]) -> None:
        """Take in how bright pictures are (every eighth pixel each way is enough) and how large they came."""
        some = pixels[:, ::8, ::8]
        sums = np.add.reduce(some, (1, 2, 3), np.uint64).tolist()  # `mean` is numpy's own Python around this
        most = 255 * (some.size // len(some))
        self._later(partial(self._count_pictures, model, str(card.version), [each / most for each in sums], sides))

    def _count_pictures(self, model: str, version: str, shares: Sequence[float], sides: Sequence[int]) -> None:
        brightness, longest = self._brightness.of(model, version), self._longest.of(model, version)
        for share, side in zip(shares, sides, strict=True):
            brightness.observe(share)
            longest.observe(side)

    def shadowed(self, model: str, version: str, outcome: str, items: int) -> None:
        """Count what became of copies: agreed, disagreed, failed or dropped."""
        if items:
            self._remember(model, version)
            self._shadowed.of(model, version, outcome).inc(items)

    def sampled(self, outcome: str) -> None:
        """Count a sample that was kept, dropped, removed again or failed to be written."""
        self._samples.of(outcome).inc()

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type; with exemplars for whoever accepts OpenMetrics."""
        self._settle()
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _remember(self, model: str, version: str) -> None:
        if (model, version) in self._seen:
            return
        self._seen[model, version] = None
        if len(self._seen) > MOST_VERSIONS:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            for family in (self._requests, self._stages, self._items, self._labels, self._confidence):
                family.forget(*oldest)
            for family in (self._anomalies, self._brightness, self._longest, self._shadowed):
                family.forget(*oldest)
            for reference in (self._reference_labels, self._reference_confidence):
                reference.forget(*oldest)
            self._referred.discard(oldest)
