"""Section 16 of the protocol: the command itself, as a process: what it prints, when it opens, how it ends."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.modelserver.asking import Grpc, Rest, predict_request
from tests.waiting import until

CHECKOUT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "serving.modelserver", "--bind_address=127.0.0.1"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run([*COMMAND, *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)


class Running:
    """A server process; its lines are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self.readers = [
            threading.Thread(target=self._read, args=(stream,)) for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, stream: Iterator[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def end(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        finally:
            self.process.kill()
            for reader in self.readers:
                reader.join()
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()
        return code


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    server = Running(*arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def free_port() -> int:
    """A port that was free a moment ago: the command line has no way to ask for any."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_command_serves_both_ports_and_ends_with_zero(saved_models: Path) -> None:
    port, rest_port = free_port(), free_port()
    model = ("--model_name=half", f"--model_base_path={saved_models / 'half_plus_two'}")
    with running(f"--port={port}", f"--rest_api_port={rest_port}", *model, "--prot=1", "--mixed_precision=x") as server:
        until(lambda: server.has_said("Exporting HTTP/REST API at:localhost"))
        assert server.has_said(f"Running gRPC ModelServer at 127.0.0.1:{port} ...")
        assert "unknown argument: --prot=1 (did you mean --port?)" in server.lines
        assert server.has_said("--mixed_precision has no effect here")
        with Grpc(f"127.0.0.1:{port}") as channel, Rest(rest_port) as rest:
            assert channel.predict(predict_request("half", {"x": [2.0]}))["y"].tolist() == [3]
            assert rest.predict("half", {"instances": [2.0]}).json == {"predictions": [3.0]}
            assert channel.cannot_predict(predict_request("other")).details.startswith("Servable")

        assert server.end() == 0


def test_equal_ports_leave_rest_out_and_grpc_serves(saved_models: Path) -> None:
    port = free_port()
    with running(f"--port={port}", f"--rest_api_port={port}", f"--model_base_path={saved_models / 'dense'}") as server:
        until(lambda: server.has_said("REST is not served"))
        with Grpc(f"127.0.0.1:{port}") as channel:
            assert channel.predict(predict_request("default", {"x": [[1.0, 0, 0, 0]]}))["y"].shape == (1, 3)


def test_an_empty_base_path_is_waited_for_with_the_port_closed(saved_models: Path, tmp_path: Path) -> None:
    port, base_path = free_port(), tmp_path / "model"
    with running(f"--port={port}", f"--model_base_path={base_path}") as server:
        until(lambda: server.has_said("model"))
        time.sleep(0.3)
        assert server.process.poll() is None
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0

        base_path.mkdir()
        (base_path / "1").symlink_to(saved_models / "half_plus_two/1")

        until(lambda: server.has_said("Running gRPC ModelServer"))
        assert server.end() == 0


def test_a_server_that_still_waits_ends_when_told(tmp_path: Path) -> None:
    with running(f"--port={free_port()}", f"--model_base_path={tmp_path / 'nothing'}") as server:
        until(lambda: server.has_said("nothing"))

        assert server.end() == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port=0", "--model_base_path=/m"], "INVALID_ARGUMENT: Neither a gRPC port nor a UNIX socket is given"),
        ([], "INVALID_ARGUMENT: Both model_base_path and model_config_file are empty"),
        (["--model_config_file=/no/such"], "NOT_FOUND: /no/such; No such file or directory"),
    ],
)
def test_a_server_that_cannot_start_says_why_on_stdout(arguments: list[str], text: str) -> None:
    ended = run(*arguments)

    assert ended.returncode != 0
    assert f"Failed to start server. Error: {text}" in ended.stdout


def test_a_config_that_does_not_parse_is_told_on_both(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text("model_config_list {\n  config: nonsense\n}")

    ended = run(f"--model_config_file={tmp_path / 'models.config'}")

    assert ended.returncode != 0
    assert re.search(r"Error parsing text-format tensorflow\.serving\.ModelServerConfig: \d+:\d+: ", ended.stderr)
    assert "Failed to start server. Error: INVALID_ARGUMENT: " in ended.stdout


def test_a_broken_model_ends_the_start_once_its_retries_are_over(tmp_path: Path) -> None:
    (tmp_path / "m/1").mkdir(parents=True)

    ended = run("--model_name=m", f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0")

    assert ended.returncode != 0
    assert "1 servable(s) did not become available: {{name: m version: 1} due to error: NOT_FOUND: " in ended.stdout


def test_a_port_that_is_taken_ends_the_start(saved_models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = run(f"--port={port}", f"--model_base_path={saved_models / 'dense'}")

    assert ended.returncode != 0
    assert f"cannot listen for gRPC at 127.0.0.1:{port}" in ended.stdout


def test_help_and_bad_values_print_usage_and_fail() -> None:
    for arguments in (["--help"], ["--port=eighty"], ["--strict_flags", "--prot=1", "--model_base_path=/m"]):
        ended = run(*arguments)

        assert ended.returncode != 0
        assert "--model_base_path=" in ended.stdout


def test_version_is_printed_in_two_lines() -> None:
    ended = run("--version")

    assert ended.returncode == 0
    assert re.fullmatch(r"TensorFlow ModelServer: \S+\nTensorFlow Library: .+\n", ended.stdout)
