"""One JSON line a request on stdout: who asked which model, how it went, how long each stage took.

Never what was sent or answered: no body, no query, no header but the request id, no key but its name.
"""

import sys
from datetime import UTC, datetime
from typing import BinaryIO

import orjson

from serving.gateway.exchange import Exchange


class AccessLog:
    """Writes lines from the event loop; a reader that has gone away stops the log, not the gateway."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream: BinaryIO | None = stream or sys.stdout.buffer

    def write(self, exchange: Exchange, status: int) -> None:
        """Add one line."""
        if self._stream is None:
            return
        try:
            self._stream.write(orjson.dumps(line(exchange, status), option=orjson.OPT_APPEND_NEWLINE))
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


def line(exchange: Exchange, status: int) -> dict[str, object]:
    """What is said of a request."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "route": exchange.route,
        "model": exchange.model,
        "version": exchange.version,
        "status": status,
        "code": exchange.code,
        "key": exchange.key,
        "kind": exchange.kind,
        "items": exchange.items,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "ms": {
            "read": ms(exchange.read_s),
            "queue": ms(exchange.queue_s),
            "decode": ms(exchange.decode_s),
            "predict": ms(exchange.predict_s),
            "encode": ms(exchange.encode_s),
            "total": ms(exchange.total_s()),
        },
    }


def ms(seconds: float) -> float:
    """Milliseconds with three digits, as people and machines both read them."""
    return round(seconds * 1000, 3)
