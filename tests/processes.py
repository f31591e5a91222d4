"""Real servers as processes of their own: started on ports the system chose, watched, ended.

End-to-end tests and benchmarks share this room; it knows what `python -m serving` prints and
what the kernel says of a process, and nothing of models.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]
PORTS = ("--http-port", "0", "--grpc-port", "0", "--rest-port", "0")
"""Options of `python -m serving`: every port is the system's choice."""
_SCHEDULED = 2
"""Part of the number of the clock that Linux keeps for the CPU time of a process; see clock_getcpuclockid(3)."""
_ADDRESS = re.compile(r"^(Gateway|gRPC|REST) +(?:http://)?(\S+?)/?$")


@dataclass(frozen=True, slots=True)
class Slipway:
    """A running `python -m serving`."""

    process: subprocess.Popen[str]
    gateway: str
    """host:port of the gateway."""
    grpc: str
    rest: str
    ready_s: float
    """Seconds from the start of the process to the line that says it is ready."""
    lines: list[str]
    """All that it has printed on stdout so far."""

    @property
    def url(self) -> str:
        """Where people go."""
        return f"http://{self.gateway}"


@contextmanager
def slipway(models: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Slipway]:
    """Run `python -m serving` on a folder of models until the block ends, then SIGTERM."""
    command = [sys.executable, "-m", "serving", "--models", str(models), *PORTS, *options]
    begun = time.monotonic()
    with following(command, "Ready", stderr=subprocess.DEVNULL, env=env) as (process, lines):
        ready_s = time.monotonic() - begun
        found = addresses(lines)
        yield Slipway(process, found["Gateway"], found["gRPC"], found["REST"], ready_s, lines)


def addresses(lines: Sequence[str]) -> dict[str, str]:
    """Gateway, gRPC and REST to host:port, as `python -m serving` prints them."""
    return {match[1]: match[2] for line in lines if (match := _ADDRESS.match(line))}


@contextmanager
def following(
    command: Sequence[str],
    ready: str,
    *,
    timeout_s: float = 90,
    cwd: Path = CHECKOUT,
    stderr: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a server until the block ends, then SIGTERM; entered at the first line of stdout that has `ready` in it.

    Yields the process and all lines that it has printed so far. It runs in a process group of its own,
    so that what it started ends with it; `env` is added to this process's environment.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    is_ready = threading.Event()
    reader = threading.Thread(target=_read, args=(process, lines, ready, is_ready), daemon=True)
    reader.start()
    try:
        if not is_ready.wait(timeout_s) or process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} did not become ready:\n" + "\n".join(lines))
        yield process, lines
    finally:
        end_group(process)
        reader.join(5)
        if process.stdout is not None:
            process.stdout.close()


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ask a process and all of its group to go, then make them."""
    for number, wait_s in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
            return


def _read(process: subprocess.Popen[str], lines: list[str], ready: str, is_ready: threading.Event) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if ready in line:
            is_ready.set()
    is_ready.set()


def exit_when_told() -> None:
    """Let SIGTERM end this process as sys.exit does, so that the servers it started are ended too."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def free_port() -> int:
    """A TCP port that nobody listens on at this moment, for servers that must be told one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used, all its threads together."""
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(command: Sequence[str], *, timeout_s: float = 600, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep what it prints; the caller judges the exit code."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
