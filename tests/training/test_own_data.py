"""docs/own-data.md, read and done: its commands in their order, in a folder of their own, on its sample data.

Only the number of epochs is made smaller and the ports are the system's choice.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from tests.processes import CHECKOUT, PORTS, addresses, following

pytestmark = pytest.mark.timeout(1500)
COMMANDS: list[str] = re.findall(
    r"^ {4}((?:curl|\.venv/bin/python) .*)$", (CHECKOUT / "docs" / "own-data.md").read_text(), re.MULTILINE
)
SHORTER = {"image_folder": "--epochs 1 --no-int8", "text_folder": "--epochs 4", "table": "--epochs 15"}


def run(command: str, place: Path) -> str:
    answer = subprocess.run(
        ["bash", "-c", command], cwd=place, capture_output=True, text=True, timeout=600, check=False
    )
    assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the project, in which all models of the page have been trained."""
    place = tmp_path_factory.mktemp("own")
    for name in (".venv", "training", "serving"):
        (place / name).symlink_to(CHECKOUT / name)
    for command in COMMANDS:
        if "training.sample_files" in command:
            run(command, place)
        elif " train " in command:
            recipe = command.split(" train ")[1].split()[0]
            assert "Published models" in run(f"{command} --quiet {SHORTER[recipe]}", place)
    return place


@pytest.fixture(scope="module")
def gateway(place: Path) -> Iterator[str]:
    """host:port of the page's server."""
    [command] = [command for command in COMMANDS if " -m serving " in command]
    words = [str(place / word) if word.startswith(".venv") else word for word in command.split()]
    with following([*words, *PORTS], "Ready", cwd=place) as (_, lines):
        yield addresses(lines)["Gateway"]


def asked(name: str, place: Path, gateway: str) -> Any:
    [command] = [command for command in COMMANDS if command.startswith("curl") and f"/{name}/" in command]
    [prediction] = json.loads(run(command.replace("127.0.0.1:8080", gateway), place))["predictions"]
    return prediction


def test_a_picture_is_answered_with_a_class_of_its_folder(place: Path, gateway: str) -> None:
    prediction = asked("my_shapes", place, gateway)

    assert prediction["label"] in {path.name for path in (place / "my-pictures").iterdir()}
    assert len(prediction["top"]) == 4


def test_a_text_is_answered_with_its_opinion(place: Path, gateway: str) -> None:
    assert asked("my_opinions", place, gateway)["label"] == "pos"


def test_a_row_is_answered_with_a_price(place: Path, gateway: str) -> None:
    assert asked("my_stock", place, gateway)["value"] == pytest.approx(91.6, rel=0.2)


def test_the_version_is_measured_again_on_the_same_test_split(place: Path) -> None:
    [command] = [command for command in COMMANDS if " evaluate " in command]

    assert "16 test examples of image_folder" in run(f"{command} --quiet", place)
