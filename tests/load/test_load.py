"""`python -m tests.load` against a real stack: what it finds, what it keeps, and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import CHECKOUT, Slipway, free_port, slipway

# A shared machine that halts for half a second makes a gateway refuse what arrived meanwhile, rightly: how
# errors are judged is tested in test_parts.py, where nothing halts.
GENEROUS = ["--errors=1", *(f"--objective={kind}=60000" for kind in ("photos", "reviews", "predict", "status"))]


@pytest.fixture(scope="module")
def server(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slipway]:
    """Gateway and model server with a small model of pictures and one of texts."""
    root = tmp_path_factory.mktemp("models")
    for name in ("tiny_image", "tiny_text"):
        (root / name).symlink_to(saved_models / name)
    with slipway(root, "--no-access-log") as running:
        yield running


def load(server: Slipway, out: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """A short run; what it printed and its summary."""
    command = [sys.executable, "-m", "tests.load", "--host", server.url, "--grpc", server.grpc, "--out", str(out)]
    short = ["--seconds", "2", "--step-seconds", "0.7"]
    done = subprocess.run(
        [*command, *short, *options], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (out / "summary.json").exists(), done.stderr
    return done, json.loads((out / "summary.json").read_text())


def test_a_stack_that_keeps_its_objectives_passes_and_every_kind_was_asked(server: Slipway, tmp_path: Path) -> None:
    done, summary = load(server, tmp_path, *GENEROUS)

    (held,) = summary["held"]
    assert done.returncode == 0, done.stderr
    assert set(summary["models"]) == {"tiny_image", "tiny_text"}
    assert {"photos", "reviews", "predict", "status"} <= set(held["kinds"])
    assert "OK" in held["kinds"]["predict"]["codes"]
    assert held["wanted_per_second"] == pytest.approx(0.4 * summary["saturation"]["best"]["per_second"], rel=0.2)
    assert len(summary["saturation"]["steps"]) >= 1
    report = (tmp_path / "report.html").read_text()
    assert "Predict: tiny_image" in report
    assert "photos: tiny_image" in report


def test_a_missed_objective_fails_the_run_and_a_busy_generator_is_named(server: Slipway, tmp_path: Path) -> None:
    options = ("--objective", "photos=0.001", "--generator-limit", "0.01")
    done, summary = load(server, tmp_path, *GENEROUS, *options)

    missed = [verdict["objective"] for verdict in summary["objectives"] if not verdict["met"]]
    assert done.returncode == 1
    assert missed == ["photos: p99 ms"]
    assert "MISSED photos: p99 ms" in done.stderr
    assert summary["saturation"]["bound_by_generator"]
    assert len(summary["generator_flagged"]) == 2
    assert "the generator is the bottleneck" in done.stderr


def test_a_spike_is_judged_before_and_after_and_not_while_it_lasts(server: Slipway, tmp_path: Path) -> None:
    _, summary = load(server, tmp_path, *GENEROUS, "--shape", "spike", "--grpc", "")

    assert [stage["judged"] for stage in summary["held"]] == [True, False, False, True]
    assert summary["held"][1]["wanted_per_second"] > 3 * summary["held"][0]["wanted_per_second"]
    assert not any("predict" in stage["kinds"] for stage in summary["held"])


def test_nobody_there_is_a_sentence_and_another_exit_code() -> None:
    command = [sys.executable, "-m", "tests.load", "--host", f"http://127.0.0.1:{free_port()}"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 2
    assert "cannot be asked" in done.stderr
    assert "Traceback" not in done.stderr


def test_locusts_own_command_runs_the_same_users_along_a_shape(server: Slipway) -> None:
    command = [sys.executable, "-m", "locust", "-f", "tests/load/locustfile.py", "--headless", "--host", server.url]
    settings = {"LOAD_GRPC": server.grpc, "LOAD_USERS": "10", "LOAD_SECONDS": "3"}
    options = ["--json", "PhotoUser", "PredictUser"]
    done = subprocess.run(
        [*command, *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | settings,
    )

    assert done.returncode == 0, done.stderr
    asked = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert asked["Predict: tiny_image"]["num_requests"] > 0
    photos = asked["photos: tiny_image"]
    assert photos["num_failures"] < photos["num_requests"]
