"""`python -m serving` as its user meets it: what it prints before it serves, and how it leaves."""

import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.gateway.server import is_loopback
from tests.processes import PORTS, run, slipway

NOWHERE = "192.0.2.1"
"""No machine has this address (RFC 5737), so that the start ends by itself."""


def test_ports_that_others_reach_are_warned_about(tmp_path: Path) -> None:
    ended = run([sys.executable, "-m", "serving", "--models", str(tmp_path), "--host", NOWHERE, *PORTS])

    assert f"the gRPC and REST ports listen on {NOWHERE} and take no keys" in ended.stderr


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)])
def test_an_address_of_this_machine_alone_is_known(host: str, own: bool) -> None:
    assert is_loopback(host) == own


def test_all_three_ports_drain_together(tmp_path: Path) -> None:
    with (
        slipway(tmp_path, env={"GATEWAY_DRAIN_DELAY_S": "8"}) as running,
        grpc.insecure_channel(running.grpc) as channel,
    ):
        updates = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        states = (health_pb2.HealthCheckResponse.ServingStatus.Name(update.status) for update in updates)
        assert next(states) == "SERVING"
        running.process.send_signal(signal.SIGTERM)

        assert next(states) == "NOT_SERVING"
        with pytest.raises(urllib.error.HTTPError, match="503"):  # still answers: who routes has yet to hear of it
            urllib.request.urlopen(f"{running.url}/readyz", timeout=10)
        assert connects(running.rest)
        assert running.process.wait(30) == 0
    assert not any(connects(address) for address in (running.gateway, running.grpc, running.rest))


def connects(address: str) -> bool:
    """Whether somebody listens there."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionError:
        return False
    return True
