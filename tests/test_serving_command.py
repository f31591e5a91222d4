"""`python -m serving` as its user meets it: what it prints before it serves."""

import sys
from pathlib import Path

import pytest

from serving.gateway.server import is_loopback
from tests.processes import PORTS, run

NOWHERE = "192.0.2.1"
"""No machine has this address (RFC 5737), so that the start ends by itself."""


def test_ports_that_others_reach_are_warned_about(tmp_path: Path) -> None:
    ended = run([sys.executable, "-m", "serving", "--models", str(tmp_path), "--host", NOWHERE, *PORTS])

    assert f"the gRPC and REST ports listen on {NOWHERE} and take no keys" in ended.stderr


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)])
def test_an_address_of_this_machine_alone_is_known(host: str, own: bool) -> None:
    assert is_loopback(host) == own
