"""Settings: from the environment, from the command line, and refused at the start when they cannot work."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from serving.gateway.__main__ import main
from serving.gateway.config import ConfigError, GatewayConfig, kinds


def test_every_field_is_taken_from_the_environment() -> None:
    config = GatewayConfig.from_env(
        {"GATEWAY_PORT": "1234", "GATEWAY_MODELS": "a, b", "GATEWAY_ACCESS_LOG": "off", "GATEWAY_GRACE_S": "1.5"}
    )

    assert (config.port, config.models, config.access_log, config.grace_s) == (1234, ("a", "b"), False, 1.5)


def test_what_is_given_wins_over_the_environment() -> None:
    assert GatewayConfig.from_env({"GATEWAY_PORT": "1"}, port=2).port == 2


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"default_timeout_s": 0}, "default_timeout_s"),
        ({"default_timeout_s": float("nan")}, "default_timeout_s"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"work_threads": -1}, "work_threads"),
        ({"tls_key": Path(__file__)}, "tls_certificate"),
        ({"api_keys": Path("nowhere")}, "nowhere"),
    ],
)
def test_a_setting_that_cannot_work_is_named(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        GatewayConfig(**given)


@pytest.mark.parametrize(("name", "text"), [("GATEWAY_PORT", "http"), ("GATEWAY_ACCESS_LOG", "perhaps")])
def test_a_text_of_the_wrong_type_is_named(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        GatewayConfig.from_env({name: text})


def test_every_field_is_an_option_with_its_default() -> None:
    page = CliRunner().invoke(main, ["--help"]).output

    for name in kinds():
        assert f"--{name.replace('_', '-')}" in page


def test_what_is_usual_gives_way_to_the_environment() -> None:
    config = GatewayConfig.from_env({"GATEWAY_MIN_IN_FLIGHT": "3"}, usual={"min_in_flight": 2, "calm_latency_s": 0.5})

    assert (config.min_in_flight, config.calm_latency_s) == (3, 0.5)
