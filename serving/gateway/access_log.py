"""One JSON line a request on stdout: who asked which model, how it went, how long each stage took.

Never what was sent or answered: no body, no query, no header but the request id, no key but its name.
"""

import sys
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event, Thread
from time import time
from typing import BinaryIO

import orjson

from serving.gateway.exchange import Exchange

MOST_LINES = 10_000
PAUSE_S = 0.1
"""Between two writes."""
CLOSE_S = 2.0


class AccessLog:
    """Takes answers from the event loop and writes of them in a thread, so that a slow reader holds up nobody.

    Lines beyond MOST_LINES are dropped and counted; a reader that has gone away ends the log, not the gateway.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self.dropped = 0
        self._gone = False
        """Nobody reads the stream any more."""
        self._stream = stream or sys.stdout.buffer
        self._lines: deque[tuple[float, Exchange, int]] = deque()
        self._over = Event()
        self._thread = Thread(target=self._write_on, name="gateway-log", daemon=True)
        self._thread.start()

    def write(self, exchange: Exchange, status: int) -> None:
        """Add one line; never blocks."""
        if len(self._lines) >= MOST_LINES or self._gone:
            self.dropped += 1
            return
        self._lines.append((time(), exchange, status))

    def close(self) -> None:
        """Write what there is, for CLOSE_S at most."""
        self._over.set()
        self._thread.join(CLOSE_S)

    def _write_on(self) -> None:
        try:
            while not self._over.wait(PAUSE_S):
                self._flush()
            self._flush()
        except (OSError, ValueError):
            pass
        finally:
            self._gone = True

    def _flush(self) -> None:
        if self._lines:
            self._stream.write(b"".join(self._taken()))
            self._stream.flush()

    def _taken(self) -> Iterator[bytes]:
        for _ in range(len(self._lines)):
            ended, exchange, status = self._lines.popleft()
            yield orjson.dumps(line(exchange, status, ended), option=orjson.OPT_APPEND_NEWLINE)


def line(exchange: Exchange, status: int, ended: float) -> dict[str, object]:
    """What is said of a request whose answer was sent at `ended`, in seconds since 1970."""
    return {
        "time": datetime.fromtimestamp(ended, UTC).isoformat(timespec="milliseconds"),
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
