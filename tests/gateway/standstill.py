"""A gateway whose event loop stands still for ever once a request asks for it; a process for test_health.py.

    python -m tests.gateway.standstill

The server, its loop and its watch are the real ones. Only the counting of answers, which is done on the
event loop, is replaced by something that does not come back.
"""

import sys
import time

from serving.gateway.config import GatewayConfig
from serving.gateway.exchange import Exchange
from serving.gateway.server import Gateway
from tests.gateway.classifiers import COLORS, Classifiers

READY = "standstill at "
STOPPING = "stop-the-loop"


def stand_still(exchange: Exchange, status: int) -> None:
    """Sleep on the event loop, if this is the request to do it."""
    while exchange.request_id == STOPPING:
        time.sleep(1)


def main() -> int:
    """Serve until the loop has stood still for three seconds."""
    gateway = Gateway(GatewayConfig(port=0, access_log=False, stuck_exit_s=3.0), Classifiers(COLORS))
    gateway.services.metrics.finished = stand_still  # type: ignore[method-assign]
    return gateway.run(lambda: print(f"{READY}127.0.0.1:{gateway.port}", flush=True))


if __name__ == "__main__":
    sys.exit(main())
