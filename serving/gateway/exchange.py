"""Exchange: what is known of one request while it is being answered.

`front.py` opens one per request and hands it to the Flask app in the WSGI environ; the rooms below
write down how long they took; `metrics.py` and `access_log.py` read it once the answer is sent.
Request ids, trace context and deadlines are read from the headers here and nowhere else.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic

from serving.errors import BadInput

ENVIRON_KEY = "gateway.exchange"
"""Where the WSGI environ carries the Exchange; no header can reach this name."""

BODY_KEY = "gateway.body"
"""Where it carries the whole body, so that nobody has to read it out of a stream again."""

TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")
"""Of the request that this thread works on; `remote.py` passes it on."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and its answer; times in seconds, the clock is `time.monotonic()`."""

    request_id: str = ""
    traceparent: str = ""
    """Of our own span, as it is handed on."""
    parent: str = ""
    """The caller's span, 16 hexadecimal digits, if there is one."""
    arrived: float = field(default_factory=monotonic)
    ended: float = 0.0
    """When the answer was sent; 0 until then."""
    deadline: float = math.inf
    route: str = "other"
    """One of a closed list: classify, models, model, rest, health, metrics, page, other."""
    request_key: str = ""
    """Whatever the caller wants to be told apart by, see `routing.py`."""
    key: str = ""
    """Name of the API key, empty for anonymous."""
    authorized: bool = False
    model: str = ""
    """Set once the model is known to exist, so that a stranger's URL names no metric."""
    version: int = 0
    kind: str = ""
    """raw, multipart, json or text: how the body came."""
    items: int = 0
    code: str = "OK"
    bytes_in: int = 0
    bytes_out: int = 0
    read_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    predict_s: float = 0.0
    encode_s: float = 0.0
    retried: bool = False
    side: str = ""
    """canary, newest or absent, where a canary is tried."""
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    """What is to be done once the answer is sent; must not block."""

    @property
    def trace_id(self) -> str:
        """The 32 hexadecimal digits that all spans of this request share."""
        return self.traceparent[3:35]

    def total_s(self) -> float:
        """Since the head of the request was read, until the answer was sent."""
        return (self.ended or monotonic()) - self.arrived


def identify(exchange: Exchange, header: Mapping[str, str]) -> None:
    """Give the exchange its request id, key and trace context: the caller's where well-formed, else new ones."""
    exchange.request_key = header.get("x-request-key", "")
    given = header.get("x-request-id", "")
    chance = os.urandom(40).hex()  # one call of the system for all three
    exchange.request_id = given if _REQUEST_ID.fullmatch(given) else chance[:32]
    parent = header.get("traceparent", "")
    span = chance[32:48]
    if _TRACEPARENT.fullmatch(parent):
        exchange.parent = parent[36:52]
        exchange.traceparent = f"{parent[:36]}{span}{parent[52:]}"
    else:
        exchange.traceparent = f"00-{chance[48:]}-{span}-01"


def deadline_of(header: Mapping[str, str], now: float, default_s: float, most_s: float) -> float:
    """The time by which the answer must be there, from X-Request-Timeout in seconds.

    Raises:
        BadInput: the header is no positive number.
    """
    text = header.get("x-request-timeout")
    if text is None:
        return now + default_s
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise BadInput(f"X-Request-Timeout must be seconds above 0, such as 2.5, not {text[:40]!r}")
    return now + min(seconds, most_s)
