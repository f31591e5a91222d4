"""`python -m clients` as a shell sees it: what is on stdout, what on stderr, and the exit code."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clients.__main__ import main
from tests.clients.conftest import MODELS, Servers
from tests.preprocess.pictures import encoded, flat


def run(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture(params=["http", "grpc"])
def door(request: pytest.FixtureRequest, servers: Servers) -> tuple[str, ...]:
    """The options that lead to the image model, over either protocol."""
    where = ("--url", servers.gateway) if request.param == "http" else ("--grpc", servers.grpc)
    return (*where, "--model", "tiny_image")


def test_a_folder_is_searched_for_pictures_and_each_gets_a_line(door: tuple[str, ...], photos: Path) -> None:
    done = run("classify", photos, *door)

    assert done.exit_code == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(Path(name).name, label) for name, label, _ in rows] == [
        ("a.jpg", "red"),
        ("b.PNG", "green"),
        ("c.webp", "blue"),
        ("d.gif", "red"),
    ]


def test_patterns_files_and_folders_may_overlap(servers: Servers, photos: Path) -> None:
    done = run("classify", photos / "a.jpg", f"{photos}/**/*.webp", photos, "--url", servers.gateway)

    assert [Path(line.split("\t")[0]).name for line in done.stdout.splitlines()] == [
        "a.jpg",
        "c.webp",
        "b.PNG",
        "d.gif",
    ]


def test_json_has_one_object_a_line_with_the_best_labels(door: tuple[str, ...], photos: Path) -> None:
    done = run("classify", photos, "--json", "--top", 2, *door)

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["label"] for answer in answers] == ["red", "green", "blue", "red"]
    assert all(len(answer["top"]) == 2 and answer["model"] == "tiny_image" for answer in answers)


def test_csv_has_a_header_and_a_row_per_picture(door: tuple[str, ...], photos: Path) -> None:
    done = run("classify", photos, "--csv", *door)

    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["label"] for row in rows] == ["red", "green", "blue", "red"]
    assert rows[0]["version"] == "1"


def test_a_bad_file_is_told_on_stderr_and_the_others_are_answered(door: tuple[str, ...], photos: Path) -> None:
    done = run("classify", photos / "notes.txt", photos / "a.jpg", photos / "missing.jpg", *door)

    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 1
    assert "notes.txt: " in done.stderr
    assert "missing.jpg: cannot be read" in done.stderr


def test_a_picture_comes_through_stdin(door: tuple[str, ...]) -> None:
    done = run("classify", "-", *door, stdin=encoded(flat("blue"), "PNG"))

    assert done.stdout.startswith("-\tblue\t")


def test_reviews_come_as_arguments_or_lines(servers: Servers) -> None:
    as_arguments = run("review", "a good film", "awful", "--url", servers.gateway)
    as_lines = run("review", "-", "--grpc", servers.grpc, "--model", "tiny_text", stdin=b"a good film\nawful\n")

    labels = [[line.split("\t")[1] for line in done.stdout.splitlines()] for done in (as_arguments, as_lines)]
    assert labels == [["pos", "neg"], ["pos", "neg"]]


def test_only_the_end_of_a_line_ends_a_review(servers: Servers) -> None:
    lines = "a good film\u2028and\x0bgreat\nawful\n".encode()
    done = run("review", "-", "--url", servers.gateway, "--json", stdin=lines)

    assert [json.loads(line)["label"] for line in done.stdout.split("\n") if line] == ["pos", "neg"]


def test_a_run_carries_on_where_the_last_one_stopped(door: tuple[str, ...], photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    run("classify", photos / "a.jpg", photos / "b.PNG", "--output", output, *door)
    first = output.read_text()
    output.write_text(first + '{"item": "half a li')

    again = run("classify", photos, "--output", output, *door)

    assert "2 of 4 are in" in again.stderr
    assert output.read_text().startswith(first)
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert [Path(answer["item"]).name for answer in answers] == ["a.jpg", "b.PNG", "c.webp", "d.gif"]


def test_what_failed_is_asked_again_by_the_next_run(servers: Servers, photos: Path, tmp_path: Path) -> None:
    output, late = tmp_path / "answers.csv", photos / "late.jpg"
    options = ("--csv", "--output", output, "--url", servers.gateway)
    broken = run("classify", late, photos / "a.jpg", *options)
    late.write_bytes(encoded(flat("lime"), "JPEG"))
    mended = run("classify", late, photos / "a.jpg", *options)

    assert (broken.exit_code, mended.exit_code) == (1, 0)
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [(Path(row["item"]).name, row["label"]) for row in rows] == [("a.jpg", "red"), ("late.jpg", "green")]


@pytest.mark.parametrize("content", ["no picture", "no picture\n", '{"a": 1}\n', '{"item": "x"}\nmore', "item,x\n"])
@pytest.mark.parametrize("form", [(), ("--csv",)], ids=["json", "csv"])
def test_a_file_that_is_no_output_is_left_alone(tmp_path: Path, content: str, form: tuple[str, ...]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(content)

    done = run("classify", "a.jpg", "--output", notes, *form, "--url", "http://127.0.0.1:1")

    assert done.exit_code == 2
    assert "choose another --output" in done.stderr
    assert notes.read_text() == content


def test_a_folder_is_no_output_file(photos: Path) -> None:
    assert run("classify", photos / "a.jpg", "--output", photos).exit_code == 2


def test_status_lists_models_as_a_table_or_as_json(servers: Servers) -> None:
    table = run("status", "--url", servers.gateway)
    lines = run("status", "--json", "--url", servers.gateway)
    one = run("status", "--grpc", servers.grpc, "--model", "tiny_text")

    assert "tiny_image" in table.stdout
    assert "AVAILABLE" in table.stdout
    assert {json.loads(line)["name"] for line in lines.stdout.splitlines()} == set(MODELS)
    assert "tiny_text" in one.stdout


def test_what_every_item_would_meet_ends_the_run_at_once(servers: Servers, photos: Path) -> None:
    done = run("classify", photos, "--model", "unicorn", "--url", servers.gateway)

    assert done.exit_code == 1
    assert done.stderr.count("unicorn") == 1
    assert "stopped" in done.stderr


def test_nobody_there_is_a_clear_sentence(unused_port: int) -> None:
    done = run("status", "--url", f"http://127.0.0.1:{unused_port}", "--timeout", 10)

    assert done.exit_code == 2
    assert "cannot be asked" in done.stderr


def test_the_real_command_prints_answers_on_stdout_alone(servers: Servers, photos: Path) -> None:
    command = [sys.executable, "-m", "clients", "classify", str(photos / "a.jpg"), "--url", servers.gateway]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    assert done.stdout.split("\t")[1] == "red"
    assert done.stderr == ""


@pytest.mark.parametrize("form", [(), ("--csv",)], ids=["json", "csv"])
def test_a_name_that_is_no_utf8_is_answered_written_and_skipped_by_the_next_run(
    servers: Servers, tmp_path: Path, form: tuple[str, ...]
) -> None:
    picture = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(picture, "wb") as file:
        file.write(encoded(flat("red"), "JPEG"))
    command: list[str | bytes] = [sys.executable, "-m", "clients", "classify", picture, "--url", servers.gateway]
    options = ["--output", str(tmp_path / "answers"), *form]
    runs = [subprocess.run([*command, *options], capture_output=True, timeout=60, check=False) for _ in range(2)]
    shown = subprocess.run(command, capture_output=True, timeout=60, check=False)

    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert b"1 of 1 are in" in runs[1].stderr
    assert "caf" in (tmp_path / "answers").read_text(encoding="utf-8")
    assert shown.returncode == 0
    assert b"\tred\t" in shown.stdout
