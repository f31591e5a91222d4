"""Warm-up files: read, replayed before a version is available, and every way they can be wrong."""

from pathlib import Path

import numpy as np
import pytest

from serving.errors import BadInput, Code, DataLoss, FailedPrecondition, Unimplemented
from serving.modelserver.calls.replay import REPLAYS
from serving.modelserver.lifecycle import tfrecord
from serving.modelserver.lifecycle.manager import ModelSettings, NotAvailable
from serving.modelserver.lifecycle.warmup import WarmupOptions, warm_up
from serving.modelserver.metrics import Metrics
from serving.modelserver.runtimes.protocol import LoadedModel
from serving.repository import WARMUP_FILE
from serving.wire.protos import PredictionLog
from serving.wire.tensors import to_proto
from tests.modelserver.lifecycle.conftest import MakeManager, see
from tests.modelserver.lifecycle.doubler import POISON, Doubler, load, publish, rows

REPLAYED = WarmupOptions(replays=REPLAYS)


def predict_log(*values: float, signature: str = "", alias: str = "x", outputs: str = "") -> PredictionLog:
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "some other model"
    request.model_spec.signature_name = signature
    request.inputs[alias].CopyFrom(to_proto(rows(*values)))
    request.output_filter.extend(outputs)
    return log


def records(folder: Path, *logs: PredictionLog) -> Path:
    """Give a version these warm-up records."""
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True, parents=True)
    tfrecord.write(path, [log.SerializeToString() for log in logs])
    return path


def test_records_are_replayed_before_the_version_is_available(base: Path, manager_of: MakeManager) -> None:
    made: list[Doubler] = []
    states: list[str] = []

    def watch(folder: Path) -> Doubler:
        made.append(load(folder))
        made[-1].before_run = lambda _: states.append(manager.status("m", 1)[0].state.name)
        return made[-1]

    records(publish(base, 1), predict_log(1), predict_log(1, 2, signature="serving_default"))
    manager = manager_of(watch)

    manager.configure([ModelSettings("m", base)])

    assert made[0].runs == [(1, 1), (2, 1)]
    assert states == ["LOADING", "LOADING"]


def test_a_version_that_replaces_another_is_warmed_for_batches_too(base: Path, manager_of: MakeManager) -> None:
    made: list[Doubler] = []

    def keep(folder: Path) -> Doubler:
        made.append(load(folder))
        return made[-1]

    records(publish(base, 1), predict_log(1), predict_log(2))
    manager = manager_of(keep)
    manager.configure([ModelSettings("m", base)])
    records(publish(base, 2), predict_log(1), predict_log(2))
    see(manager, {2: "AVAILABLE", 1: "END"})

    assert made[0].runs == [(1, 1)] * 2
    assert made[1].runs == [(1, 1), (2, 1), (4, 1), (8, 1), (1, 1)]


def test_a_failing_record_fails_the_load_and_frees_the_model(base: Path, manager_of: MakeManager) -> None:
    made: list[Doubler] = []

    def keep(folder: Path) -> Doubler:
        made.append(load(folder))
        return made[-1]

    records(publish(base, 1), predict_log(POISON))
    manager = manager_of(keep)

    with pytest.raises(NotAvailable, match="poison"):
        manager.configure([ModelSettings("m", base)])

    assert manager.status("m", 1)[0].code == Code.INVALID_ARGUMENT
    assert made[0].closed.is_set()


def test_without_a_file_or_with_warm_up_turned_off_nothing_runs(tmp_path: Path) -> None:
    model, off = Doubler(), WarmupOptions(enabled=False, replays=REPLAYS)

    assert warm_up(tmp_path, model, REPLAYED, Metrics()) == 0
    records(tmp_path, predict_log(1))
    assert warm_up(tmp_path, model, off, Metrics()) == 0

    assert model.runs == []


def test_each_record_is_run_as_often_as_told(tmp_path: Path) -> None:
    model, metrics = Doubler(), Metrics()
    records(tmp_path, predict_log(1), predict_log(2, 3))

    assert warm_up(tmp_path, model, WarmupOptions(iterations=3, replays=REPLAYS), metrics) == 2

    assert model.runs == [(1, 1)] * 3 + [(2, 1)] * 3
    assert metrics.warmup_records.of(str(tmp_path), "OK")._value.get() == 2


def test_other_kinds_of_logs_go_to_what_replays_them(tmp_path: Path) -> None:
    log = PredictionLog()
    log.classify_log.request.model_spec.signature_name = "classes"
    seen: list[str] = []

    def replay(log: PredictionLog, model: LoadedModel) -> None:
        seen.append(log.classify_log.request.model_spec.signature_name)

    records(tmp_path, log)

    warm_up(tmp_path, Doubler(), WarmupOptions(replays={"classify_log": replay}), Metrics())

    assert seen == ["classes"]


@pytest.mark.parametrize("kind", ["session_run_log", "predict_streamed_log"])
def test_kinds_that_cannot_be_replayed_are_unimplemented(tmp_path: Path, kind: str) -> None:
    log = PredictionLog()
    getattr(log, kind).SetInParent()
    records(tmp_path, log)

    with pytest.raises(Unimplemented, match=f"^Unsupported log_type for warmup: {kind}$"):
        warm_up(tmp_path, Doubler(), REPLAYED, Metrics())


def test_a_thousand_records_are_the_most(tmp_path: Path) -> None:
    model = Doubler()
    path = records(tmp_path, *[predict_log(1)] * 1000)
    assert warm_up(tmp_path, model, REPLAYED, Metrics()) == 1000

    records(tmp_path, *[predict_log(1)] * 1001)
    with pytest.raises(BadInput) as refused:
        warm_up(tmp_path, model, REPLAYED, Metrics())

    assert refused.value.message == f"Number of warmup records exceeds the maximum (1000) at {path}"


@pytest.mark.parametrize(
    ("log", "error", "text"),
    [
        pytest.param(predict_log(1, signature="none"), FailedPrecondition, "not found", id="unknown-signature"),
        pytest.param(
            predict_log(1, alias="q"), BadInput, "Inputs contains invalid name|input alias: x", id="unknown-input"
        ),
        pytest.param(predict_log(1, outputs="yy"), BadInput, "duplicate output tensor alias: y", id="an-output-twice"),
        pytest.param(predict_log(1, outputs="q"), BadInput, "alias not found in signature: q", id="unknown-output"),
    ],
)
def test_a_record_that_does_not_fit_the_model_fails_as_its_request_would(
    tmp_path: Path, log: PredictionLog, error: type[Exception], text: str
) -> None:
    records(tmp_path, log)

    with pytest.raises(error, match=text):
        warm_up(tmp_path, Doubler(), REPLAYED, Metrics())


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        pytest.param(
            lambda data: b"not a record file at all", r"corrupted record at 0 \(Is this even", id="no-records"
        ),
        pytest.param(lambda data: data[:-3], "truncated record at 0", id="cut-in-the-checksum"),
        pytest.param(lambda data: data[:20], "truncated record at 0", id="cut-in-the-data"),
        pytest.param(lambda data: data[:5], "truncated record at 0", id="cut-in-the-header"),
        pytest.param(lambda data: data[:14] + b"\xff" + data[15:], "corrupted record at 0", id="a-changed-byte"),
        pytest.param(lambda data: data + b"\x00" * 12, "corrupted record at", id="something-after-the-end"),
    ],
)
def test_a_damaged_file_is_data_loss_and_says_what_to_check(tmp_path: Path, damage: object, text: str) -> None:
    path = records(tmp_path, predict_log(1))
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DataLoss, match=text) as lost:
        warm_up(tmp_path, Doubler(), REPLAYED, Metrics())

    assert lost.value.message.endswith(". Please verify your warmup data is in TFRecord format.")


def test_a_record_that_is_no_prediction_log_is_refused(tmp_path: Path) -> None:
    path = records(tmp_path)
    tfrecord.write(path, [b"\xff\xff\xff"])

    with pytest.raises(BadInput, match="Failed to parse warmup record: 0 from"):
        warm_up(tmp_path, Doubler(), REPLAYED, Metrics())


def test_strings_and_all_other_types_reach_the_model_as_sent(tmp_path: Path) -> None:
    seen: list[object] = []
    model = Doubler(before_run=lambda inputs: seen.extend(inputs["x"].tolist()), answer=lambda x: x)
    log = predict_log(1)
    log.predict_log.request.inputs["x"].CopyFrom(to_proto(np.array([b"a", b"\xff"], object)))
    records(tmp_path, log)

    warm_up(tmp_path, model, REPLAYED, Metrics())

    assert seen == [b"a", b"\xff"]
