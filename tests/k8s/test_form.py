"""Dockerfile, compose.yaml and every file of k8s/ by the linters of their languages."""

import sys
from pathlib import Path

import pytest

from tests.processes import run

RULES = """
extends: default
rules:
  line-length: {max: 140}
  document-start: disable
  comments: {min-spaces-from-content: 1}
  comments-indentation: disable
"""
PROGRAMS = Path(sys.executable).parent


def test_yaml_is_well_formed() -> None:
    answer = run([str(PROGRAMS / "yamllint"), "--strict", "--config-data", RULES, "k8s", "compose.yaml"])

    assert answer.returncode == 0, answer.stdout


def test_the_dockerfile_passes_hadolint() -> None:
    answer = run([str(PROGRAMS / "hadolint"), "Dockerfile"])

    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a:   [1,2\n"])
def test_yaml_that_is_not_is_noticed(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)

    assert run([str(PROGRAMS / "yamllint"), "--strict", "--config-data", RULES, str(tmp_path)]).returncode != 0
