"""docs/modelserver.md: its flags are those of the code, its files can be read, its commands run."""

import os
import re
import shlex
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from google.protobuf import text_format

from serving.modelserver import flags
from serving.modelserver.flag_effects import config_of
from serving.modelserver.flag_table import Flags
from serving.modelserver.metrics import Metrics
from serving.wire import protos
from tests.processes import CHECKOUT, following, free_port, run

BOOK = (CHECKOUT / "docs" / "modelserver.md").read_text("utf-8")
PROMISES = (CHECKOUT / "docs" / "modelserver-promises.md").read_text("utf-8")
READY = "Exporting HTTP/REST API at"


BY_MACHINE = {"rest_api_num_threads": "4 x CPUs", "grpc_max_threads": "4 x CPUs", "num_tflite_pools": "CPUs"}


def flag_rows() -> list[str]:
    """The table of flags as it must stand in the book; defaults that depend on the machine by their rule."""
    rows = []
    for flag in fields(Flags):
        default = str(flag.default).lower() if isinstance(flag.default, bool) else str(flag.default)
        purpose = flag.metadata["purpose"]
        if "no_effect" in flag.metadata:
            purpose += f" *No effect:* {flag.metadata['no_effect']}."
        rows.append(f"| `{flag.name}` | {BY_MACHINE.get(flag.name, default)} | {purpose} |")
    return rows


def blocks() -> dict[str, str]:
    """Message to the file that the book shows for it."""
    return dict(re.findall(r"```textproto (\w+)\n(.*?)```", BOOK, re.DOTALL))


def commands(program: str) -> list[str]:
    """The lines of the book that run a program."""
    return re.findall(rf"^    ({re.escape(program)} .*)$", BOOK, re.MULTILINE)


def test_every_flag_has_its_row_and_no_other_has_one() -> None:
    table = BOOK.split("## Flags", 1)[1]

    assert re.findall(r"^\| `.*$", table, re.MULTILINE) == flag_rows()
    assert set(re.findall(r"(?<!-)--([a-z]\w+)", BOOK)) - {"name"} <= {flag.name for flag in fields(Flags)}


@pytest.mark.parametrize("message", ["ModelServerConfig", "MonitoringConfig", "BatchingParameters", "SSLConfig"])
def test_every_file_in_the_book_can_be_read(message: str) -> None:
    kind = getattr(protos, message)

    assert text_format.Parse(blocks()[message], kind()) != kind()


def test_every_metric_of_our_own_has_its_row() -> None:
    named = set(re.findall(r"^\| `(modelserver_\w+)`", BOOK, re.MULTILINE))
    families = {family.name for family in Metrics().registry.collect() if family.name.startswith("modelserver_")}

    assert {name.removesuffix("_total") for name in named} == families


@pytest.fixture
def folder(saved_models: Path, tmp_path: Path) -> Path:
    """Where the second command is run: its files, with the models that they name."""
    for name in ("half_plus_two", "half_plus_three"):
        shutil.copytree(saved_models / name, tmp_path / name)
    shutil.copytree(tmp_path / "half_plus_two/1", tmp_path / "half_plus_two/2")
    models = blocks()["ModelServerConfig"].replace("/models/", f"{tmp_path}/")
    (tmp_path / "models.config").write_text(re.sub(r" *version_labels .*\n", "", models))
    (tmp_path / "monitoring.config").write_text(blocks()["MonitoringConfig"])
    (tmp_path / "batching.config").write_text(blocks()["BatchingParameters"])
    return tmp_path


def started(command: str, grpc: int, rest: int) -> list[str]:
    """The command as it is run here: by this interpreter, on ports that are free, on loopback."""
    line = command.replace("=8500", f"={grpc}").replace("=8501", f"={rest}").replace("$PWD", str(CHECKOUT))
    return [sys.executable, *shlex.split(line)[1:], "--bind_address=127.0.0.1"]


def test_the_first_command_starts_a_server_that_answers_as_the_book_says() -> None:
    command, curl = commands(".venv/bin/python")[0], commands("curl")[0]
    grpc, rest = free_port(), free_port()
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with following([*started(command, grpc, rest)], READY, stderr=-2, env=environment):
        answer = run(shlex.split(curl.replace(":8501", f":{rest}")), timeout_s=30)

    assert answer.stdout == re.findall(r"which answers\n\n    (.*)\n", BOOK)[0]


def test_the_second_command_starts_a_server_of_both_models(folder: Path) -> None:
    command, grpc, rest = commands(".venv/bin/python")[1], free_port(), free_port()
    environment = {"PYTHONPATH": str(CHECKOUT)}
    with following(started(command, grpc, rest), READY, stderr=-2, cwd=folder, env=environment):
        for model in ("half_plus_two/versions/2", "half_plus_three"):
            url = f"http://127.0.0.1:{rest}/v1/models/{model}:predict"
            assert "predictions" in run(["curl", "-s", "-d", '{"instances": [1.0]}', url], timeout_s=30).stdout
        page = run(["curl", "-s", f"http://127.0.0.1:{rest}/monitoring/prometheus/metrics"], timeout_s=30).stdout

    assert ":tensorflow:serving:request_count" in page


def test_the_flags_of_the_commands_are_understood(folder: Path) -> None:
    for command in commands(".venv/bin/python"):
        line = flags.parse([argument.replace("$PWD", "/srv") for argument in shlex.split(command)[3:]])
        assert (line.unknown, line.warnings) == ((), ())
    assert config_of(flags.parse(["--model_base_path=/m"]).flags)


def test_every_promise_is_held_by_tests_that_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PROMISES)
    texts = {file: (CHECKOUT / "tests" / file).read_text("utf-8") for file, _ in named}

    assert len(named) > 150
    assert [name for name in named if f"def {name[1]}(" not in texts[name[0]]] == []
