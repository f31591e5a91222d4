"""What people send, and their keys, stand in no log; who listens in the open is told so."""

import hashlib
import json
import logging
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.gateway.config import GatewayConfig
from serving.gateway.server import Gateway, _warn_if_open
from tests.gateway.caller import RED, Caller
from tests.gateway.classifiers import COLORS, MOODS, Classifiers, Failing

SECRETS = ("key-that-nobody-sees", "a private opinion", "PRIVATEPIXELS", "quiet-query")


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"ann {hashlib.sha256(SECRETS[0].encode()).hexdigest()}\n")
    return path


def test_no_log_has_a_key_a_text_a_picture_or_a_query(
    keys_file: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream = Classifiers(COLORS, MOODS)
    key = {"Authorization": f"Bearer {SECRETS[0]}"}
    with Gateway(GatewayConfig(port=0, api_keys=keys_file), upstream) as gateway, Caller(gateway) as caller:
        statuses = [
            caller.classify(SECRETS[1], model="moods", **key).status,
            caller.classify(RED + SECRETS[2].encode(), **key).status,
            caller.classify(SECRETS[2].encode(), **key).status,
            caller.classify(RED, f"?{SECRETS[3]}=1", **key).status,
            caller.classify(RED, Authorization=f"Bearer {SECRETS[0]}x").status,
        ]
        upstream.before_answer = Failing(ServingError("broken"))
        statuses.append(caller.classify(SECRETS[1], model="moods", **key).status)
    written = "".join(capfd.readouterr())
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]

    assert statuses == [200, 200, 400, 400, 401, 500]
    assert [line["status"] for line in lines] == statuses
    assert lines[0]["key"] == "ann"
    assert not [secret for secret in SECRETS if secret in written + caplog.text]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "without API keys and TLS"),
        ({"host": "0.0.0.0", "api_keys": True}, "without TLS"),
        ({"host": "127.0.0.1"}, ""),
        ({"host": "::1"}, ""),
    ],
)
def test_whoever_listens_in_the_open_without_protection_is_warned(
    keys_file: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, object], words: str
) -> None:
    given = settings | ({"api_keys": keys_file} if "api_keys" in settings else {})
    _warn_if_open(GatewayConfig(**given))  # type: ignore[arg-type]

    assert words in caplog.text
    assert bool(caplog.text) == bool(words)
