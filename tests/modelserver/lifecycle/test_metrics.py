"""What is counted: by whom it may be read, and that it does not grow for ever."""

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from serving.modelserver.lifecycle.batching.parameters import BatchingOptions
from serving.modelserver.lifecycle.manager import ModelManager, ModelSettings, NotAvailable
from serving.modelserver.metrics import MOST_NAMES_ASKED_FOR, VERSIONS_KEPT, Metrics
from tests.modelserver.lifecycle.conftest import MakeManager, see
from tests.modelserver.lifecycle.doubler import publish, rows


def page(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def original(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of an original metric: suffix and label values to value."""
    [found] = [kept for kept in metrics.originals if kept.page_name == name]
    return {(suffix, *labels.values()): value for suffix, labels, value in found.samples()}


def ask(manager: ModelManager) -> None:
    with manager.acquire("m") as served:
        served.run("serving_default", {"x": rows(1, 2, 3)})


def test_the_originals_names_begin_with_a_colon_and_none_is_missing() -> None:
    root = ":tensorflow:serving"

    assert [kept.page_name for kept in Metrics().originals] == [
        f"{root}:request_count",
        f"{root}:request_latency",
        f"{root}:runtime_latency",
        f"{root}:request_example_counts",
        f"{root}:request_example_count_total",
        f"{root}:model_warmup_latency",
        f"{root}:model_warmup_records_read",
        f"{root}:batching_session:queuing_latency",
        f"{root}:batching_session:wrapped_run_count",
        f"{root}:batching_session:padding_size",
        f"{root}:batching_session:input_batch_size",
        f"{root}:batching_session:processed_batch_size",
        f"{root}:request_log_count",
        ":tensorflow:cc:saved_model:load_attempt_count",
    ]


def test_requests_are_counted_under_the_originals_labels() -> None:
    metrics = Metrics()
    metrics.count_request("m", "OK")
    metrics.count_request("m", "OK")
    metrics.count_request("unicorn", "NOT_FOUND")

    assert original(metrics, ":tensorflow:serving:request_count") == {
        ("", "m", "OK"): 2,
        ("", "unicorn", "NOT_FOUND"): 1,
    }
    assert metrics.originals[0].total() == 3


def test_latencies_are_cumulative_histograms_of_microseconds() -> None:
    metrics = Metrics()
    metrics.time_request("m", "Predict", "GRPC", 0.000012)
    metrics.time_request("m", "Predict", "GRPC", 3600.0)

    samples = original(metrics, ":tensorflow:serving:request_latency")

    where = ("m", "Predict", "GRPC")
    buckets = [value for key, value in samples.items() if key[0] == "_bucket"]
    assert len(buckets) == 34
    assert buckets == sorted(buckets)
    assert samples["_bucket", *where, "10.0"] == 0
    assert samples["_bucket", *where, "18.0"] == 1
    assert samples["_bucket", *where, "+Inf"] == samples["_count", *where] == 2
    assert samples["_sum", *where] == pytest.approx(3.6e9 + 12)


def test_a_stranger_cannot_fill_the_memory_with_names_of_models() -> None:
    metrics = Metrics()
    for number in range(MOST_NAMES_ASKED_FOR + 50):
        metrics.count_request(f"unicorn-{number}", "NOT_FOUND")

    samples = original(metrics, ":tensorflow:serving:request_count")
    assert len(samples) == MOST_NAMES_ASKED_FOR + 1
    assert samples["", "", "NOT_FOUND"] == 50


def test_a_model_loaded_after_strangers_used_up_the_names_is_counted_by_its_own() -> None:
    metrics = Metrics()
    for number in range(MOST_NAMES_ASKED_FOR):
        metrics.count_request(f"unicorn-{number}", "NOT_FOUND")
    metrics.meter("late", 1)
    metrics.count_request("late", "OK")

    assert original(metrics, ":tensorflow:serving:request_count")["", "late", "OK"] == 1


def test_a_request_is_counted_by_stage_and_its_batch_by_rows(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])
    ask(manager)
    manager.metrics.answered("m", 1, "serving_default", "OK", 0.002)

    value = manager.metrics.registry.get_sample_value
    version = {"model": "m", "version": "1"}
    signature = version | {"signature": "serving_default"}
    assert value("modelserver_requests_total", signature | {"code": "OK"}) == 1
    for stage in ("queue", "run", "total"):
        assert value("modelserver_request_seconds_count", signature | {"stage": stage}) == 1
    assert value("modelserver_batch_rows_bucket", version | {"le": "2.0"}) == 0
    assert value("modelserver_batch_rows_bucket", version | {"le": "4.0"}) == 1
    assert value("modelserver_queue_depth", version) == 0
    assert value("modelserver_version_state", version) == 30
    assert (value("modelserver_load_seconds", version) or 0) > 0
    assert (value("process_resident_memory_bytes") or 0) > 1_000_000


def test_scheduled_batches_are_counted_as_the_original_counts_them(base: Path, manager_of: MakeManager) -> None:
    publish(base, 1)
    manager = manager_of(batching=BatchingOptions(mode="scheduled"))
    manager.configure([ModelSettings("m", base)])
    ask(manager)

    session = ":tensorflow:serving:batching_session"
    assert original(manager.metrics, f"{session}:wrapped_run_count")[("",)] == 1
    assert original(manager.metrics, f"{session}:input_batch_size")[("_sum",)] == 3
    assert original(manager.metrics, f"{session}:processed_batch_size")[("_sum",)] == 3
    assert original(manager.metrics, f"{session}:padding_size")["_sum", "3"] == 0
    assert original(manager.metrics, f"{session}:queuing_latency")["_count", "model_server_batch_threads"] == 1


def test_loads_are_counted_by_outcome(base: Path, manager_of: MakeManager) -> None:
    good, bad = publish(base, 1), publish(base, 2, "broken")
    manager = manager_of(load_retries=1, load_retry_interval_s=0)
    manager.configure([ModelSettings("m", base)], wait=False)
    see(manager, {2: "END"})
    (base / "2").rename(base / "aside")
    see(manager, {2: "END", 1: "AVAILABLE"})

    assert original(manager.metrics, ":tensorflow:cc:saved_model:load_attempt_count") == {
        ("", str(bad), "INTERNAL"): 2,
        ("", str(good), "OK"): 1,
    }
    value = manager.metrics.registry.get_sample_value
    assert value("modelserver_loads_total", {"model": "m", "code": "INTERNAL"}) == 2
    assert value("modelserver_loads_total", {"model": "m", "code": "OK"}) == 1


def test_many_swaps_leave_the_series_of_the_last_few_versions_only(base: Path, manager_of: MakeManager) -> None:
    last = 30
    publish(base, 1)
    manager = manager_of()
    manager.configure([ModelSettings("m", base)])
    ask(manager)
    for version in range(2, last + 1):
        publish(base, version)
        see(manager, {version: "AVAILABLE"} | dict.fromkeys(range(version - 1, 0, -1), "END"))
        ask(manager)

    kept = {str(version) for version in range(last - VERSIONS_KEPT, last + 1)}
    for family in manager.metrics.registry.collect():
        found = {sample.labels["version"] for sample in family.samples if "version" in sample.labels}
        assert found <= kept, family.name
    assert f'modelserver_version_state{{model="m",version="{last}"}} 30.0' in page(manager.metrics)
    assert f'modelserver_version_state{{model="m",version="{last - 1}"}} 50.0' in page(manager.metrics)


def test_a_failed_version_stays_on_the_page_while_it_is_wanted(base: Path, manager_of: MakeManager) -> None:
    publish(base, 9, "broken")
    manager = manager_of()
    with pytest.raises(NotAvailable):
        manager.configure([ModelSettings("m", base)])

    assert 'modelserver_version_state{model="m",version="9"} 50.0' in page(manager.metrics)
