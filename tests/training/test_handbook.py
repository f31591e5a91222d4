"""docs/training.md: its commands run, its options and exit codes are those of the code."""

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from click.testing import CliRunner

from training import exits
from training.__main__ import cli
from training.learning import named_options
from training.run_folder import RunFolder

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
COMMANDS = re.findall(r"^ {4}\.venv/bin/python -m training (.+)$", PAGE.split("## A run leaves a folder")[0], re.M)


def test_its_first_commands_run_and_leave_the_folder_that_it_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        answer = CliRunner().invoke(cli, shlex.split(command))
        assert answer.exit_code == 0, answer.output

    first, second = (RunFolder(path) for path in sorted((tmp_path / "runs" / "xor").iterdir()))
    assert len(COMMANDS) == 3
    assert first.read()["published"].endswith("models/xor/1")
    assert second.read()["published"] is None
    assert second.read()["options"]["schedule"] == "step"
    for name in ("run.json", "answers-validation.npz", "answers-test.npz", "report.html", "tensorboard"):
        assert (first.path / name).exists()
        assert f"`{name}" in PAGE
    rates = second.read()["phases"][0]["epochs"]["learning_rate"]
    assert rates[:1] == [0.5]
    assert rates[-1] == pytest.approx(0.25)


def test_it_names_every_option_that_it_explains_as_the_code_has_it() -> None:
    options = {"--" + one.name.replace("_", "-") for one in named_options()}
    others = {"--seed", "--help", "--runs", "--no-publish", "--resume", "--logdir"}

    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", PAGE)) <= options | others
    assert {"--l2", "--patience", "--strategy", "--precision", "--warmup-steps"} <= set(
        re.findall(r"--[a-z0-9-]+", PAGE)
    )


def test_its_exit_codes_are_those_of_the_commands() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)}

    assert codes == {0, 2, exits.WORSE, exits.STOPPED}
