"""CPU and memory of everything that one server started, however its processes are related.

A mark in the environment is inherited by every child, also by one that has become a daemon; the
kernel shows the environment that a process began with.
"""

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path

from tests.processes import cpu_s

NAME = "SLIPWAY_BENCH_TREE"


class Tree:
    """The processes that were started with `environment`."""

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex

    @property
    def environment(self) -> Mapping[str, str]:
        """To be added to that of the first process."""
        return {NAME: self._mark}

    def pids(self) -> list[int]:
        """Those that live."""
        mark, found = f"{NAME}={self._mark}".encode(), []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (folder / "environ").read_bytes().split(b"\0"):
                        found.append(int(folder.name))
        return found

    def cpu_s(self) -> float:
        """User and system seconds of all that live."""
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += cpu_s(pid)
        return total

    def peak_mb(self) -> float:
        """The most memory that each has had in RAM, added up; pages that two share count twice."""
        return sum(peak_mb(pid) for pid in self.pids())


def peak_mb(pid: int) -> float:
    """The most memory that a process has had in RAM; 0 if it has ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
    return 0.0
