"""The audit of dependencies tells a finding from a service that is away; the service here is our own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audit import KNOWN, Unaudited, asked
from tests.processes import free_port

pytest.importorskip("pip_audit", reason="needs pip-audit: make install")
ADVISORY = {
    "id": "TEST-1",
    "details": "Bad.",
    "published": "2020-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.5"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """Speaks the protocol of osv.dev."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["package"]["name"] == "jinja2" and asked["version"] == "2.4.1"
        body = json.dumps({"vulns": [ADVISORY]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def told(service: str, tmp_path: Path, pins: str) -> tuple[list[dict[str, str]], list[str]]:
    (tmp_path / "pins.txt").write_text(pins)
    return asked("-s", "osv", "--osv-url", service, "--no-deps", "-r", str(tmp_path / "pins.txt"))


def test_a_known_vulnerability_is_found_and_a_sound_package_is_not(service: str, tmp_path: Path) -> None:
    found, unknown = told(service, tmp_path, f"{KNOWN}\nflask==3.1.3\n")

    assert [(row["package"], row["version"], row["fixed in"]) for row in found] == [("jinja2", "2.4.1", "2.5")]
    assert unknown == []


def test_a_service_that_is_away_is_no_finding_and_no_clean_bill(tmp_path: Path) -> None:
    with pytest.raises(Unaudited, match=r"\w"):
        told(f"http://127.0.0.1:{free_port()}", tmp_path, KNOWN)
