"""How much memory there is; freed memory kept in few places, and given back if not needed again soon.

glibc gives every thread an arena of its own, up to eight a core, and each keeps what a decoded picture or a
compiled network once took. Some forty threads so hold tens of megabytes that only grow. With another C
library nothing happens here.
"""

import contextlib
import ctypes
import os
from pathlib import Path

_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""
_FEWEST, _MOST = 2, 8
_CGROUP = Path("/sys/fs/cgroup")


def share_arenas() -> None:
    """One arena a core, at least two, at most eight; to be called before threads are made.

    As fast as glibc's own way on two cores, with 27 MB less after three models were compiled.
    """
    with contextlib.suppress(AttributeError, OSError):
        arenas = min(_MOST, max(_FEWEST, len(os.sched_getaffinity(0))))
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, arenas)


def give_back() -> None:
    """Return to the system what loading or closing a version has freed: tens of MB that glibc would keep."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def allowed_bytes(root: Path = _CGROUP) -> int:
    """What this process may use: the machine's memory, or its container's share."""
    pages = Path("/proc/meminfo").read_text().split("MemTotal:", 1)[1].split()
    sizes = [int(pages[0]) * 1024]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int((root / name).read_text()))
    return min(sizes)
