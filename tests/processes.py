"""Real servers as processes of their own: started on ports the system chose, watched, ended.

End-to-end tests and benchmarks share this room; it knows what `python -m serving` prints and
what the kernel says of a process, and nothing of models.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
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
def slipway(
    models: Path, *options: str, python: str = sys.executable, timeout_s: float = 90, quiet: bool = True
) -> Iterator[Slipway]:
    """Run `python -m serving` on a folder of models until the block ends, then SIGTERM."""
    ports = ("--http-port", "0", "--grpc-port", "0", "--rest-port", "0")
    command = [python, "-m", "serving", "--models", str(models), *ports, *options]
    started = time.monotonic()
    stderr = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=stderr, text=True)
    lines: list[str] = []
    ready = threading.Event()
    reader = threading.Thread(target=_read, args=(process, lines, ready), daemon=True)
    reader.start()
    try:
        if not ready.wait(timeout_s) or process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} did not become ready:\n" + "\n".join(lines))
        found = {match[1]: match[2] for line in lines if (match := _ADDRESS.match(line))}
        yield Slipway(process, found["Gateway"], found["gRPC"], found["REST"], time.monotonic() - started, lines)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(5)


def _read(process: subprocess.Popen[str], lines: list[str], ready: threading.Event) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Ready"):
            ready.set()
    ready.set()


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(command: Sequence[str], *, timeout_s: float = 600, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep what it prints; the caller judges the exit code."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
