"""What the benchmark measures and how its figures reach the README and the planner."""

import hashlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.bench import environments, numbers
from tests.bench.contestants import posts, served, silent
from tests.bench.open_loop import arrivals, open_loop
from tests.bench.process_tree import Tree
from tests.bench.servers import LOCAL
from tests.processes import free_port


def row(name: str, group: str, cpu_ms: float, what: str = "photo") -> dict[str, Any]:
    samples = {"cpu_ms": [cpu_ms - 1, cpu_ms, cpu_ms + 1], "per_second": [100.0], "peak_mb": [250.0]}
    medians = {"cpu_ms": cpu_ms, "per_second": 1234.0, "peak_mb": 250.0, "p99_ms": float("nan")}
    return {"name": name, "group": group, "what": what, "note": "", "medians": medians, "samples": samples}


DOCUMENT: dict[str, Any] = {
    "machine": "2 cores of some kind",
    "when": "2026-01-31T12:00:00+00:00",
    "rounds": 5,
    "left_out": {"Peer": "cannot be installed: no\nsuch package"},
    "rows": [
        row(numbers.LOOP, "limit", 8),
        row("gateway, embedded, f32", "ours", 10),
        row(numbers.SPLIT, "ours", 13),
        row(numbers.PREDICT, "ours", 9),
        row(numbers.REVIEWS, "ours", 2, "review"),
        row(numbers.PLAIN, "instead", 25),
    ],
}


def test_the_table_names_machine_spread_and_what_it_comes_to() -> None:
    text = numbers.markdown(DOCUMENT)

    assert "2 cores of some kind" in text
    assert "| gateway, embedded, f32 | 10 (9-11) | 1,234 |" in text
    assert "1.25 times the bare work" in text
    assert "Flask + TensorFlow 2.5 times" in text
    assert "Left out: Peer (cannot be installed: no)." in text
    assert "nan" not in text


def test_the_block_goes_between_its_marks_and_nothing_else_changes() -> None:
    readme = f"before\n{numbers.BEGIN}\nold\n{numbers.END}\nafter\n"
    written = numbers.placed(readme, "new")

    assert written == f"before\n{numbers.BEGIN}\nnew\n{numbers.END}\nafter\n"
    assert numbers.placed(written, "new") == written
    with pytest.raises(ValueError, match="numbers"):
        numbers.placed("no marks", "new")


def test_readme_facts_and_picture_are_written_by_one_command(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "README.md").write_text(f"{numbers.BEGIN}\n{numbers.END}\n")
    numbers.draw(tmp_path)
    options = ["--out", tmp_path, "--readme", tmp_path / "README.md", "--facts", tmp_path / "facts.json"]
    (tmp_path / "docs").mkdir()
    done = CliRunner().invoke(numbers.main, [*map(str, options), "--docs", str(tmp_path / "docs")])

    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert (facts["gateway_cpu_ms"], facts["modelserver_cpu_ms"], facts["embedded_cpu_ms"]) == (4, 9, 10)
    assert "gateway, embedded" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "docs" / "bench.svg").read_bytes().startswith(b"<?xml")


def test_the_arrivals_of_an_open_loop_are_drawn_beforehand_at_the_rate_that_was_asked() -> None:
    times = arrivals(50, 10, seed=3)

    assert len(times) == 500
    assert times == sorted(times)
    assert times == arrivals(50, 10, seed=3)
    assert 9 < times[-1] <= 10


def test_a_pause_of_the_server_is_in_the_latencies_of_all_who_would_have_come() -> None:
    """A closed loop of one would have seen a single slow answer."""
    begun, lock = time.perf_counter(), threading.Lock()

    def ask() -> None:
        with lock:
            if time.perf_counter() - begun < 0.5:
                time.sleep(0.5)

    found = open_loop([ask] * 4, 100, 1.0)

    assert found.failed == 0
    assert len(found.latencies_s) == 100
    assert sum(latency > 0.1 for latency in found.latencies_s) > 20


def test_refusals_of_an_open_loop_are_counted_and_have_no_latency() -> None:
    def refuse() -> None:
        raise RuntimeError("busy")

    found = open_loop([refuse, refuse], 100, 0.2)

    assert (found.failed, list(found.latencies_s)) == (20, [])


def test_a_tree_counts_children_whoever_their_parent_is_now() -> None:
    work = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 300_000)"
    orphan = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {work + '; import time; time.sleep(60)'!r}])"
    )
    tree = Tree()
    with silent([sys.executable, "-c", f"{orphan}; import time; time.sleep(60)"], tree.environment):
        give_up = time.monotonic() + 60
        while (len(tree.pids()) < 2 or tree.cpu_s() < 0.1) and time.monotonic() < give_up:
            time.sleep(0.05)
        hashlib.pbkdf2_hmac("sha256", b"not", b"counted", 100_000)

        assert len(tree.pids()) >= 2
        assert tree.cpu_s() > 0.1
        assert tree.peak_mb() > 5
    while tree.pids() and time.monotonic() < give_up:  # who lost its parent is buried by another, a little later
        time.sleep(0.05)
    assert tree.pids() == []


def test_a_server_is_started_asked_and_ended_and_its_figures_are_whole() -> None:
    def start(stack: Any, env: Any) -> Any:
        port = free_port()
        stack.enter_context(silent([sys.executable, "-m", "tests.bench.return_at_once", str(port)], env))
        return posts(f"{LOCAL}:{port}", "/", "text/plain", [b"x" * 1000])

    with served(start) as running:
        full = running.spell(0.3)
        assert running.at is not None
        half = running.at(50, 0.4)

    assert full["per_second"] > 0
    assert full["cpu_ms"] > 0
    assert full["failed"] == 0
    assert half["p99_ms"] >= half["p50_ms"] > 0


def test_a_server_that_never_answers_is_an_error_with_what_it_said() -> None:
    program = "import sys; print('no such model', flush=True); sys.exit(3)"

    def ask_in_vain() -> None:
        with silent([sys.executable, "-c", program], {}):
            time.sleep(0.5)
            raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no such model"):
        ask_in_vain()


def test_an_environment_is_as_big_as_the_files_of_all_that_it_needs() -> None:
    closure = environments.closure(["flask"])

    assert {"flask", "werkzeug", "jinja2", "markupsafe"} <= closure
    assert "numpy" not in closure
    assert environments.size_mb(["numpy"]) > 10
    assert environments.size_mb(closure) < environments.size_mb([*closure, "numpy"])
    assert {"numpy", "openvino"} <= environments.locked("openvino", "gateway")
