"""HTTPS, with a certificate made on the spot."""

import json
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest

from serving.gateway.config import GatewayConfig
from serving.gateway.server import Gateway
from tests.gateway.caller import COLORS_CLASSIFY, JPEG, RED
from tests.gateway.classifiers import COLORS, Classifiers


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl: apt-get install openssl")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    new = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=gateway"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*new, *names, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return chain, key


def test_with_a_certificate_it_speaks_https(certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    config = GatewayConfig(port=0, access_log=False, tls_certificate=chain, tls_key=key)
    trust = ssl.create_default_context(cafile=str(chain))
    with Gateway(config, Classifiers(COLORS)) as gateway:
        assert gateway.url.startswith("https://")
        request = urllib.request.Request(gateway.url + COLORS_CLASSIFY, RED, JPEG)
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            assert json.load(answer)["predictions"][0]["label"] == "red"
