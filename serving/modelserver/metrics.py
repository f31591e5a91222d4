"""Every figure that the model server counts, for two pages.

What is counted for every request is noted down first and counted many at once, or when somebody looks.

`/metrics` shows `Metrics.registry`, in prometheus_client's own format. The original's page is made
by prometheus_page.py from `Metrics.originals`: the same kinds of counters, each with the name that
TensorFlow Serving gives it. `lifecycle/` counts runs and states, the doors count requests.

Label values come from closed lists: models and versions that are being served, their signatures,
the names of codes. A version's series go when it has ended and VERSIONS_KEPT later versions of its
model have ended too (`forget`), so hundreds of swaps do not make the page grow.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

M = TypeVar("M", bound=MetricWrapperBase)

VERSIONS_KEPT = 3
"""Ended versions of a model whose last figures stay on the page, so that no scrape misses them."""

MOST_NAMES_ASKED_FOR = 2_000
"""The original counts unknown models under the name asked for; past so many series further names are
counted under an empty one, or a stranger could fill the memory."""

LONGEST_NAME_ASKED_FOR = 256
"""Characters. Longer names are counted under an empty one at once, for the same reason."""

AT_ONCE = 512
"""Figures are counted so many at once, some seven a request, with everything that takes in the caches."""

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LATENCY_MICROS = tuple(10 * 1.8**i for i in range(33))
QUEUING_MICROS = tuple(100 * 1.2**i for i in range(52))
BATCH_SIZES = tuple(float(2**i) for i in range(14))
EXAMPLE_COUNTS = tuple(float(2**i) for i in range(15))

Kind = Literal["counter", "histogram"]


class Family(Generic[M]):
    """A metric whose children are found by one dict look-up, a tenth of what `labels()` costs."""

    def __init__(self, metric: M, most: int | None = None) -> None:
        """Args: metric: with or without labels. most: children, None for as many as are asked for."""
        self.metric = metric
        self._most = most
        self._children: dict[tuple[str, ...], M] = {}

    def of(self, *values: str) -> M:
        """The child with these label values; past `most`, the one whose first value is empty."""
        child = self._children.get(values)
        if child is None:
            if self._most is not None and len(self._children) >= self._most:
                values = ("", *values[1:])
            child = self._children[values] = self.metric.labels(*values) if values else self.metric
        return child

    def forget(self, *first: str) -> None:
        """Remove every child whose label values begin with these."""
        for values in [values for values in list(self._children) if values[: len(first)] == first]:
            if self._children.pop(values, None) is not None:
                self.metric.remove(*values)


@dataclass(frozen=True, slots=True)
class Original:
    """One metric of TensorFlow Serving: its own name beside the counter that we keep for it."""

    name: str
    """As TensorFlow Serving has it inside: /tensorflow/serving/request_count."""
    kind: Kind
    metric: Counter | Histogram

    @property
    def page_name(self) -> str:
        """As its Prometheus page prints it: :tensorflow:serving:request_count."""
        return re.sub(r"[^a-zA-Z0-9_]", ":", self.name)

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Suffix (empty, `_bucket`, `_sum`, `_count`), labels (with `le` in buckets), value; buckets are cumulative."""
        for family in self.metric.collect():
            for sample in family.samples:
                suffix = sample.name.removeprefix(family.name)
                if suffix != "_created":
                    yield "" if suffix == "_total" else suffix, sample.labels, sample.value

    def total(self) -> float:
        """The sum of a counter over all its labels."""
        return sum(value for suffix, _, value in self.samples() if suffix == "")


_Noted = tuple[Family[Counter], tuple[str, ...], None] | tuple[Family[Histogram], tuple[str, ...], float]
"""What to count, its labels, and the value where there is one."""


class _First(Collector):
    """Shows nothing; asked before all others, it has done what must be done before they are."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def collect(self) -> Iterator[Metric]:
        """Nothing."""
        self._act()
        return iter(())


class Metrics:
    """All counters of one server. The methods are cheap enough to be called for every request."""

    def __init__(self) -> None:
        self._noted: deque[_Noted] = deque()
        self._settling = Lock()
        self._loaded: set[str] = set()
        self.registry = CollectorRegistry()
        """What `/metrics` shows, this process's memory, CPU and open files included."""
        self.registry.register(_First(self._settle))
        self._originals: list[Original] = []
        self._keep_originals()
        self._keep_own()
        ProcessCollector(registry=self.registry)

    def _keep_originals(self) -> None:
        root = "/tensorflow/serving"
        self._request_count = self._counter(f"{root}/request_count", "model_name", "status")
        self._unknown_count = Family(self._request_count.metric, MOST_NAMES_ASKED_FOR)
        self._request_latency = self._histogram(
            f"{root}/request_latency", LATENCY_MICROS, "model_name", "API", "entrypoint"
        )
        self._runtime_latency = self._histogram(
            f"{root}/runtime_latency", LATENCY_MICROS, "model_name", "API", "runtime"
        )
        self._example_counts = self._histogram(f"{root}/request_example_counts", EXAMPLE_COUNTS, "model")
        self._example_total = self._counter(f"{root}/request_example_count_total", "model")
        self.warmup_latency = self._histogram(f"{root}/model_warmup_latency", LATENCY_MICROS, "model_path", "status")
        self.warmup_records = self._counter(f"{root}/model_warmup_records_read", "model_path", "status")
        batching = f"{root}/batching_session"
        self.queuing_latency = self._histogram(f"{batching}/queuing_latency", QUEUING_MICROS, "thread_pool_name")
        self.wrapped_runs = self._counter(f"{batching}/wrapped_run_count")
        self.padding_size = self._histogram(f"{batching}/padding_size", BATCH_SIZES, "execution_batch_size")
        self.input_batch_size = self._histogram(f"{batching}/input_batch_size", BATCH_SIZES)
        self.processed_batch_size = self._histogram(f"{batching}/processed_batch_size", BATCH_SIZES)
        self._counter(f"{root}/request_log_count", "model_name", "status_code")  # named on the page; nothing is logged
        self.load_attempts = self._counter("/tensorflow/cc/saved_model/load_attempt_count", "model_path", "status")

    def _counter(self, name: str, *labels: str) -> Family[Counter]:
        counter = Counter(_identifier(name), name, labels, registry=None)
        self._originals.append(Original(name, "counter", counter))
        return Family(counter)

    def _histogram(self, name: str, buckets: tuple[float, ...], *labels: str) -> Family[Histogram]:
        histogram = Histogram(_identifier(name), name, labels, registry=None, buckets=buckets)
        self._originals.append(Original(name, "histogram", histogram))
        return Family(histogram)

    def _keep_own(self) -> None:
        version = ("model", "version")
        where = (*version, "signature")
        registry = self.registry
        self.requests = Family(
            Counter("modelserver_requests", "Requests answered, by outcome.", (*where, "code"), registry=registry)
        )
        self.seconds = Family(
            Histogram(
                "modelserver_request_seconds",
                "Time of a request: in the queue, in the run that it was part of, in all.",
                (*where, "stage"),
                buckets=SECONDS,
                registry=registry,
            )
        )
        self.batch_rows = Family(
            Histogram("modelserver_batch_rows", "Rows of one run.", version, buckets=ROWS, registry=registry)
        )
        self.queue_depth = Family(
            Gauge("modelserver_queue_depth", "Requests that wait for a run.", version, registry=registry)
        )
        self.load_seconds = Family(
            Gauge("modelserver_load_seconds", "Time of the last load, warm-up included.", version, registry=registry)
        )
        self.loads = Family(
            Counter("modelserver_loads", "Tries to load a version, by outcome.", ("model", "code"), registry=registry)
        )
        self.version_state = Family(
            Gauge(
                "modelserver_version_state",
                "10 START, 20 LOADING, 30 AVAILABLE, 40 UNLOADING, 50 END.",
                version,
                registry=registry,
            )
        )

    @property
    def originals(self) -> Sequence[Original]:
        """What the original's page shows, in this order."""
        self._settle()
        return self._originals

    def count(self, family: Family[Counter], *labels: str) -> None:
        """One more, soon."""
        self._note((family, labels, None))

    def observe(self, family: Family[Histogram], value: float, *labels: str) -> None:
        """One value, soon."""
        self._note((family, labels, value))

    def _note(self, noted: _Noted) -> None:
        self._noted.append(noted)
        if len(self._noted) >= AT_ONCE and not self._settling.locked():  # nobody waits for who counts already
            self._settle()

    def _settle(self) -> None:
        """Count what has been noted down."""
        with self._settling:
            while self._noted:
                noted = self._noted.popleft()
                if noted[2] is None:
                    noted[0].of(*noted[1]).inc()
                else:
                    noted[0].of(*noted[1]).observe(noted[2])

    def count_request(self, model: str, status: str) -> None:
        """`:request_count`. `model` as it was asked for; `status` is a code's name."""
        if model in self._loaded:
            self.count(self._request_count, model, status)
        else:
            self.count(self._unknown_count, model if len(model) <= LONGEST_NAME_ASKED_FOR else "", status)

    def time_request(self, model: str, api: str, entrypoint: str, seconds: float) -> None:
        """`:request_latency`, of successes only. API `Predict` with `GRPC`, `predict` with `REST`."""
        self.observe(self._request_latency, seconds * 1e6, model, api, entrypoint)

    def time_runtime(self, model: str, api: str, seconds: float) -> None:
        """`:runtime_latency`. API `Predict`, `Classify`, ... at both doors."""
        self.observe(self._runtime_latency, seconds * 1e6, model, api, "TF1")

    def count_examples(self, model: str, count: int) -> None:
        """`:request_example_counts` and its total, of MultiInference."""
        self._example_counts.of(model).observe(count)
        self._example_total.of(model).inc(count)

    def answered(self, model: str, version: int | None, signature: str, code: str, total_s: float) -> None:
        """`modelserver_requests_total` and the stage `total`.

        Pass empty names and None for what is not being served: only then are labels a closed list.
        """
        number = "" if version is None else str(version)
        self.observe(self.seconds, total_s, model, number, signature, "total")
        self.count(self.requests, model, number, signature, code)

    def meter(self, model: str, version: int) -> "VersionMeter":
        """What the runs of one version are counted with; from now on the model is no stranger."""
        self._loaded.add(model)
        return VersionMeter(self, model, str(version))

    def forget(self, model: str, version: int, path: str) -> None:
        """Remove every series of a version that has ended; `path` is its folder."""
        self._settle()
        for own in (self.requests, self.seconds, self.batch_rows, self.queue_depth, self.load_seconds):
            own.forget(model, str(version))
        self.version_state.forget(model, str(version))
        for original in (self.warmup_latency, self.warmup_records, self.load_attempts):
            original.forget(path)


class VersionMeter:
    """The run counters of one version, each found once."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        self._metrics, self._model, self._version = metrics, model, version
        metrics.batch_rows.of(model, version)  # on the page from the start
        self.depth = metrics.queue_depth.of(model, version)
        """Requests that wait; raise and lower it as they come and go."""

    def ran(self, signature: str, queue_s: float, run_s: float) -> None:
        """One request's time in the queue and in its run. `signature` is one that the model has."""
        metrics = self._metrics
        metrics.observe(metrics.seconds, queue_s, self._model, self._version, signature, "queue")
        metrics.observe(metrics.seconds, run_s, self._model, self._version, signature, "run")

    def batch(self, rows: int) -> None:
        """One run of so many rows."""
        self._metrics.observe(self._metrics.batch_rows, rows, self._model, self._version)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name).strip("_")
