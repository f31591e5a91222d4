"""The README's commands, run by a newcomer in a clean clone; only ports, folders and names are filled in."""

import json
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving import repository
from tests.processes import CHECKOUT, PORTS, addresses, following, free_port

README = (CHECKOUT / "README.md").read_text()
COMMANDS: list[str] = re.findall(r"^ {4}((?:make|curl|\.venv/bin/python) .*?)(?: +# .*)?$", README, re.MULTILINE)

pytestmark = pytest.mark.timeout(900)


@dataclass
class Newcomer:
    """Someone who cloned the project and runs `make serve` in it."""

    clone: Path
    printed: list[str]
    """What `make serve` has printed."""
    ran: set[str] = field(default_factory=set)
    """The README's commands that were run so far."""

    def command(self, start: str, **filled_in: str) -> str:
        """The one command of the README that begins so, with this server's ports and the given words in it."""
        found = [command for command in COMMANDS if command.startswith(start) and command not in self.ran]
        assert found, f"the README has no further command that begins with {start!r}"
        self.ran.add(found[0])
        here = addresses(self.printed)
        words = {"127.0.0.1:8080": here["Gateway"], "127.0.0.1:8500": here["gRPC"], "$PWD": str(self.clone)}
        for there, value in (words | filled_in).items():
            found[0] = found[0].replace(there, value)
        return found[0]

    def run(self, command: str) -> str:
        """What a command prints on stdout; it must succeed."""
        answer = subprocess.run(
            ["bash", "-c", command], cwd=self.clone, capture_output=True, text=True, timeout=300, check=False
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """In a clean clone `make serve` has trained the sample models and is serving them."""
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
    assert "make serve" in COMMANDS
    clone = tmp_path_factory.mktemp("newcomer") / "slipway"
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
    (clone / ".venv").symlink_to(CHECKOUT / ".venv")
    serve = ["make", "--silent", "serve", f"PORTS={shlex.join(PORTS)}"]
    with following(serve, "Ready", timeout_s=600, cwd=clone) as (_, lines):
        yield Newcomer(clone, lines, {"make serve"})


def test_the_three_printed_lines_answer_when_pasted(newcomer: Newcomer) -> None:
    picture, review, service = (line.strip() for line in newcomer.printed if line.startswith("  ") and " -" in line)

    assert json.loads(newcomer.run(picture))["predictions"][0]["label"] == "star"
    assert json.loads(newcomer.run(review))["predictions"][0]["label"] == "pos"
    assert "star" in newcomer.run(service)


def test_the_sample_models_have_learned_their_task(newcomer: Newcomer) -> None:
    for name in ("shapes_cnn", "shapes_mobilenet", "sample_reviews"):
        card = repository.read_card(newcomer.clone / "models" / name / "1")
        assert card is not None
        assert card.dataset.source == "sample"
        assert card.quality is not None
        assert card.quality.accuracy >= 0.9


def test_the_curl_of_the_readme_gives_the_answer_that_it_shows(newcomer: Newcomer) -> None:
    answer = json.loads(newcomer.run(newcomer.command("curl")))
    shown = json.loads(re.search(r"^ {4}(\{.*\})$", README, re.MULTILINE)[1])  # type: ignore[index]

    assert answer.keys() == shown.keys()
    assert answer["predictions"][0]["label"] == shown["predictions"][0]["label"]


def test_the_clients_ask_as_the_readme_says(newcomer: Newcomer) -> None:
    server = f" --url http://{addresses(newcomer.printed)['Gateway']}"

    assert "star" in newcomer.run(newcomer.command(".venv/bin/python -m clients classify") + server)
    assert "pos" in newcomer.run(newcomer.command(".venv/bin/python -m clients review") + server)
    assert "AVAILABLE" in newcomer.run(newcomer.command(".venv/bin/python -m clients status") + server)


def test_a_teams_own_keras_model_is_imported_and_served_at_once(newcomer: Newcomer) -> None:
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    keras.Sequential(layers).save(newcomer.clone / "own.keras")
    (newcomer.clone / "labels.txt").write_text("left\nright\n")
    command = newcomer.command(".venv/bin/python -m training import", MODEL="own.keras", NAME="own", FILE="labels.txt")

    assert "models/own/1" in newcomer.run(command)
    ask = f"curl --fail-with-body --retry 20 --retry-all-errors -sS {_url(newcomer)}/v1/models/own"
    assert json.loads(newcomer.run(ask))["card"]["labels"] == ["left", "right"]


def _url(newcomer: Newcomer) -> str:
    return f"http://{addresses(newcomer.printed)['Gateway']}"


def test_a_recipe_trains_on_folders_of_pictures(newcomer: Newcomer) -> None:
    assert "cats_vs_dogs_cnn" in newcomer.run(newcomer.command(".venv/bin/python -m training list"))
    for label, shape in (("cat", "star"), ("dog", "circle")):
        folder = newcomer.clone / "pets" / label
        folder.mkdir(parents=True)
        picture = (newcomer.clone / "models" / ".samples" / f"{shape}.jpg").read_bytes()
        for number in range(20):
            (folder / f"{number}.jpg").write_bytes(picture + bytes([number]))
    command = newcomer.command(".venv/bin/python -m training train", DIR="pets", PATH="none") + " --epochs 1"

    assert "models/cats_vs_dogs_mobilenet/1" in newcomer.run(command)


def test_model_server_and_gateway_run_apart(newcomer: Newcomer) -> None:
    ports = [free_port(), free_port()]
    server = newcomer.command(".venv/bin/python -m serving.modelserver", **{"8501": str(ports[1])})
    gateway = newcomer.command(
        ".venv/bin/python -m serving.gateway", **{addresses(newcomer.printed)["gRPC"]: f"127.0.0.1:{ports[0]}"}
    )
    server += f" --port={ports[0]} --bind_address=127.0.0.1"
    with following(["bash", "-c", f"exec {server} 2>&1"], "", cwd=newcomer.clone):
        ask = f"curl --fail -sS --retry 30 --retry-all-errors http://127.0.0.1:{ports[1]}/v1/models/shapes_cnn"
        assert "AVAILABLE" in newcomer.run(ask)
        line = ["bash", "-c", f"exec {gateway} --port 0 2>&1"]
        with following(line, "gateway on", cwd=newcomer.clone) as (_, lines):
            url = next(line.split()[2].rstrip(",") for line in lines if line.startswith("gateway on"))
            with urllib.request.urlopen(f"{url}/v1/models/shapes_cnn", timeout=10) as answer:
                assert json.load(answer)["card"]["name"] == "shapes_cnn"


def test_make_test_runs_every_test(newcomer: Newcomer) -> None:
    newcomer.ran.add("make test")

    assert "-m pytest" in newcomer.run("make --dry-run test")


def test_no_command_of_the_readme_was_left_out(newcomer: Newcomer) -> None:
    assert set(COMMANDS) - newcomer.ran == set()
