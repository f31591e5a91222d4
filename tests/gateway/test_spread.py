"""The gateway's histograms, held against prometheus_client's own."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder

from serving.gateway.spread import Spread

BOUNDS = (0.001, 0.25, 1, 2.5)
VALUES = st.sampled_from([0.0, 0.001, 0.0011, 0.25, 1.0, 2.5, 2.6, 1e9]) | st.floats(0, 5)
TIMES = re.compile(rb"(_created\{[^}]*\}) [0-9.e+]+|(\} [0-9.e+-]+) [0-9.e+]+$", re.MULTILINE)
"""When a series was made and an exemplar was seen."""


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", 'b"\n']), VALUES, st.sampled_from(["", "0af7651916cd43dd"]))))
def test_a_page_has_the_lines_of_the_clients_own_histogram(seen: list[tuple[str, float, str]]) -> None:
    registry, reference = CollectorRegistry(), CollectorRegistry()
    spread = Spread("took_seconds", "How long.", ["what"], registry=registry, buckets=BOUNDS)
    histogram = Histogram("took_seconds", "How long.", ["what"], registry=reference, buckets=BOUNDS)
    for what, value, trace_id in seen:
        spread.of(what).observe(value, trace_id)
        histogram.labels(what).observe(value, {"trace_id": trace_id} if trace_id else None)

    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        encode, _ = choose_encoder(accept)
        assert TIMES.sub(rb"\1\2", encode(registry)) == TIMES.sub(rb"\1\2", encode(reference))


@pytest.mark.parametrize(("first", "left"), [(("a",), {("b", "1")}), (("a", "1"), {("a", "2"), ("b", "1")})])
def test_series_are_forgotten_by_their_first_labels(first: tuple[str, ...], left: set[tuple[str, str]]) -> None:
    spread = Spread("took_seconds", "How long.", ["what", "n"], registry=CollectorRegistry(), buckets=BOUNDS)
    for values in (("a", "1"), ("a", "2"), ("b", "1")):
        spread.of(*values).observe(1)

    spread.forget(*first)

    (family,) = spread.collect()
    assert {(sample.labels["what"], sample.labels["n"]) for sample in family.samples} == left
