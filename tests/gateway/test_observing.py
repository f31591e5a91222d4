"""Metrics, access log and trace context: enough to see by, nothing of what people sent."""

import io
import json
import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.gateway.access_log import MOST_LINES, AccessLog, line
from serving.gateway.exchange import Exchange, identify
from tests.gateway.caller import COLORS_CLASSIFY, GREEN, JPEG, RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers
from tests.gateway.conftest import Serve

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def samples(caller: Caller, name: str) -> dict[frozenset[str], float]:
    """The samples of one metric by their label values."""
    page = caller.ask("/metrics").body.decode()
    return {
        frozenset(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def watched(serve: Serve) -> Caller:
    return serve(Classifiers(COLORS, MOODS))


def test_answers_are_counted_by_model_version_kind_and_code(watched: Caller) -> None:
    watched.classify(RED)
    watched.classify(RED)
    watched.classify(b"no picture")

    counted = samples(watched, "gateway_requests_total")
    assert counted[frozenset(["colors", "1", "classify", "raw", "OK", "200"])] == 2
    assert counted[frozenset(["colors", "1", "classify", "raw", "INVALID_ARGUMENT", "400"])] == 1


@pytest.mark.parametrize("stage", ["read", "queue", "decode", "predict", "encode", "total"])
def test_every_stage_has_a_histogram(watched: Caller, stage: str) -> None:
    watched.classify(RED)

    assert samples(watched, "gateway_stage_seconds_count")[frozenset(["colors", "1", stage])] == 1


def test_what_was_predicted_is_counted_by_label(watched: Caller) -> None:
    for data in (RED, GREEN, GREEN):
        watched.classify(data)

    counted = samples(watched, "gateway_predictions_total")
    assert counted == {frozenset(["colors", "1", "red"]): 1, frozenset(["colors", "1", "green"]): 2}
    assert samples(watched, "gateway_confidence_count")[frozenset(["colors", "1"])] == 3
    assert samples(watched, "gateway_picture_brightness_count")[frozenset(["colors", "1"])] == 3
    assert samples(watched, "gateway_picture_side_pixels_sum")[frozenset(["colors", "1"])] == 3 * 48


def test_a_strangers_url_names_no_series(watched: Caller) -> None:
    watched.ask("/v1/models/<script>/classify", RED, JPEG)
    watched.ask("/v1/models/unicorn")
    watched.ask("/some/where")

    assert b"unicorn" not in (page := watched.ask("/metrics").body)
    assert b"<script>" not in page
    assert b"some/where" not in page


def test_whoever_takes_openmetrics_gets_exemplars_with_the_trace(watched: Caller) -> None:
    watched.classify(RED, traceparent=PARENT)
    answer = watched.ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert "openmetrics" in answer.headers["content-type"]
    assert 'trace_id="0af7651916cd43dd8448eb211c80319c"' in answer.body.decode()


def test_one_line_a_request_says_how_it_went_and_nothing_of_what_was_sent() -> None:
    exchange = Exchange(model="moods", version=3, kind="text", items=1, bytes_in=99, key="ann")
    identify(exchange, {"traceparent": PARENT, "authorization": "Bearer secret"})
    stream = io.BytesIO()
    log = AccessLog(stream)
    log.write(exchange, 200)
    log.close()

    found = json.loads(stream.getvalue())
    assert (found["model"], found["version"], found["status"], found["key"]) == ("moods", 3, 200, "ann")
    assert found["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert set(found["ms"]) == {"read", "queue", "decode", "predict", "encode", "total"}
    assert "secret" not in stream.getvalue().decode()


def test_a_log_whose_reader_has_gone_stops_nobody() -> None:
    stream = io.BytesIO()
    log = AccessLog(stream)
    stream.close()
    log.write(Exchange(), 200)
    log.close()
    log.write(Exchange(), 200)

    assert log.dropped == 1


def test_a_log_that_nobody_reads_fast_enough_is_bounded() -> None:
    reading, writing = os.pipe()
    with open(writing, "wb", buffering=0) as stream:
        log = AccessLog(stream)
        for _ in range(MOST_LINES + 2000):
            log.write(Exchange(), 200)
        assert len(log._lines) <= MOST_LINES
        os.close(reading)
        log.close()


@pytest.mark.parametrize("sent", ["", "junk", "00-" + "0" * 32 + "-b7ad6b7169203331-01", PARENT.upper()])
def test_a_broken_trace_context_is_replaced_by_a_new_one(sent: str) -> None:
    exchange = Exchange()
    identify(exchange, {"traceparent": sent})

    assert len(exchange.trace_id) == 32
    assert exchange.trace_id not in sent.lower()


def test_a_trace_goes_on_with_a_span_of_our_own() -> None:
    exchange = Exchange()
    identify(exchange, {"traceparent": PARENT})

    assert exchange.traceparent[:36] == PARENT[:36]
    assert exchange.traceparent[36:52] != PARENT[36:52]
    assert exchange.traceparent[52:] == "-01"


def test_the_log_line_has_a_time_in_utc() -> None:
    assert str(line(Exchange(), 200, 0.5)["time"]) == "1970-01-01T00:00:00.500+00:00"


def test_the_request_is_counted_also_when_it_is_refused_early(serve: Serve) -> None:
    caller = serve(Classifiers(COLORS), max_body_bytes=10)
    assert caller.ask(COLORS_CLASSIFY, RED, JPEG).status == 413

    counted = samples(caller, "gateway_requests_total")
    assert sum(value for labels, value in counted.items() if "INVALID_ARGUMENT" in labels) == 1
