"""docs/gateway.md says of every setting, status, parameter and header what the code does."""

import json
import re
from dataclasses import fields
from pathlib import Path

from serving.gateway.auth import Keys
from serving.gateway.config import GatewayConfig, meanings
from serving.gateway.regenerate import FILE
from serving.gateway.routing import read
from tests.processes import CHECKOUT

BOOK = (CHECKOUT / "docs" / "gateway.md").read_text("utf-8")
DESCRIBED = json.loads(FILE.read_text("utf-8"))
CLASSIFY = DESCRIBED["paths"]["/v1/models/{model}/classify"]["post"]


def examples() -> list[str]:
    """The indented blocks, without their indent."""
    blocks = re.findall(r"(?:^    .*\n)+", BOOK, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]


def test_every_setting_has_its_row_with_default_and_meaning() -> None:
    said = meanings()
    assert list(said) == [entry.name for entry in fields(GatewayConfig)]
    for entry in fields(GatewayConfig):
        default = "none" if entry.default in (None, ()) else str(entry.default)
        assert f"| `{entry.name}` | {default} | {said[entry.name]} |" in BOOK


def test_no_setting_is_named_that_is_not_there() -> None:
    names = {entry.name.upper() for entry in fields(GatewayConfig)}

    assert {name for name in re.findall(r"GATEWAY_([A-Z_]+)", BOOK) if name} <= names


def test_every_status_and_parameter_is_explained() -> None:
    rows = " ".join(re.findall(r"^\| ([\d, ]+) \|", BOOK, re.MULTILINE))

    assert set(CLASSIFY["responses"]) - {"200"} <= set(re.findall(r"\d{3}", rows))
    for parameter in CLASSIFY["parameters"]:
        assert f"`{parameter['name']}" in BOOK


def test_the_example_of_a_routing_file_can_be_read(tmp_path: Path) -> None:
    (example,) = [block for block in examples() if "[models." in block]
    (tmp_path / "routing.toml").write_text(example)
    rule = read(tmp_path / "routing.toml")["cats_vs_dogs"]

    assert (rule.canary, rule.shadow, rule.shadow_share) == (0.05, "next", 0.5)


def test_the_example_of_a_key_file_can_be_read(tmp_path: Path) -> None:
    (example,) = [block for block in examples() if "rate=10" in block]
    (tmp_path / "keys").write_text(example)
    keys = Keys(tmp_path / "keys")

    assert keys.check("Bearer test") == "ann"
    assert keys._file is not None
    assert keys._file.content()["batch"].models == frozenset({"cats_vs_dogs", "flowers"})
