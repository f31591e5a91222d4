"""What this machine gives a runtime: cores and installed frameworks."""

import importlib.util
import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CPU = Path("/proc/cpuinfo")
_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


def cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process may use: its affinity, and not above a container's limit; at least 1."""
    return max(1, min(len(os.sched_getaffinity(0)), _limit(cgroup)))


def _limit(cgroup: Path) -> int:
    """The container's CPU limit in whole cores, rounded up; very many where there is none."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else os.cpu_count() or 1
    except (OSError, ValueError, ZeroDivisionError):  # no container, no limit ("max"), or not to be read
        return os.cpu_count() or 1


def streams(threads: int) -> int:
    """Runs of a model at a time that so many threads are shared among.

    On two cores two runs of one thread took a fifth less CPU for a picture than one of two, since no thread waits
    for another.
    """
    return min(threads, max(2, threads // 2))


def multiplies_int8(cpu: Path = _CPU) -> bool:
    """Whether this CPU adds up products of 8-bit numbers in one exact step; others are slower, and round otherwise."""
    try:
        flags = next(line for line in cpu.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return not _DOT_PRODUCTS.isdisjoint(flags.split())


def installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported for that."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
