"""Tracing: what became of each request as OpenTelemetry spans, sent to a collector over HTTP.

Needs the extra `otel`; `server.py` opens this room only where a collector is configured, and tells it
of every answer once that is sent. The span has the very id that was handed on in `traceparent`, the
caller's span is its parent, and its stages are its children, laid end to end in their order. A
thread of the SDK sends batches; what a slow or dead collector does not take is dropped, and nobody waits.
"""

from collections.abc import Iterator
from threading import Thread
from time import time_ns

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from serving.gateway.exchange import Exchange

SERVICE = "slipway-gateway"
"""Unless OTEL_SERVICE_NAME says otherwise."""
SEND_S = 5.0
"""Longest that one batch may take."""
CLOSE_S = 2.0
UNTOLD = frozenset({"health", "metrics", "page"})
"""Routes without spans: probes would bury the others."""
STAGES = ("read", "queue", "decode", "predict", "encode")


class _Ids(RandomIdGenerator):
    """Gives a request's span the ids that its traceparent has had from the start."""

    def __init__(self) -> None:
        self.trace = self.span = 0

    def generate_trace_id(self) -> int:
        """Of a request that came without a trace."""
        return self.trace or super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Of the request once, then of its stages."""
        span, self.span = self.span, 0
        return span or super().generate_span_id()


class Tracing:
    """Sends the spans of one gateway. `finished` is called on the event loop only."""

    def __init__(self, endpoint: str) -> None:
        """Args: endpoint: URL that takes traces; OTEL_* variables settle headers, sampling and batches."""
        found = Resource.create()
        if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
            found = found.merge(Resource({SERVICE_NAME: SERVICE}))
        self._ids = _Ids()
        self._provider = TracerProvider(resource=found, id_generator=self._ids, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("serving.gateway")

    def finished(self, exchange: Exchange, status: int) -> None:
        """Take in one answer; never blocks."""
        if exchange.route in UNTOLD:
            return
        end = time_ns()
        start = end - int(exchange.total_s() * 1e9)
        self._ids.trace, self._ids.span = int(exchange.trace_id, 16), int(exchange.traceparent[36:52], 16)
        name = f"{exchange.route} {exchange.model}".rstrip()
        span = self._tracer.start_span(
            name, _parent(exchange), SpanKind.SERVER, dict(_facts(exchange, status)), start_time=start
        )
        if span.is_recording():
            if status >= 500:
                span.set_status(StatusCode.ERROR, exchange.code)
            self._stages(span, exchange, start)
        self._ids.trace = self._ids.span = 0
        span.end(end)

    def _stages(self, span: Span, exchange: Exchange, start: int) -> None:
        within = set_span_in_context(span, Context())
        for stage in STAGES:
            if length := int(getattr(exchange, f"{stage}_s") * 1e9):
                self._tracer.start_span(stage, within, start_time=start).end(start + length)
                start += length

    def close(self) -> None:
        """Send what there is, for CLOSE_S at most."""
        sending = Thread(target=self._provider.shutdown, name="gateway-traces", daemon=True)
        sending.start()
        sending.join(CLOSE_S)


def _parent(exchange: Exchange) -> Context:
    """The caller's span, if there is one."""
    if not exchange.parent:
        return Context()
    flags = TraceFlags(int(exchange.traceparent[53:55], 16))
    caller = SpanContext(int(exchange.trace_id, 16), int(exchange.parent, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(caller), Context())


def _facts(exchange: Exchange, status: int) -> Iterator[tuple[str, str | int]]:
    """The span's attributes: as the access log has them, nothing of what was sent."""
    yield "http.response.status_code", status
    yield "http.request.body.size", exchange.bytes_in
    yield "http.response.body.size", exchange.bytes_out
    yield "slipway.request_id", exchange.request_id
    yield "slipway.route", exchange.route
    yield "slipway.code", exchange.code
    if exchange.model:
        yield "slipway.model", exchange.model
        yield "slipway.version", exchange.version
        yield "slipway.items", exchange.items
        yield "slipway.kind", exchange.kind
