"""Freed memory is kept in few places and can be given back."""

import subprocess
import sys

import pytest

from tests.processes import CHECKOUT

PROGRAM = """
import ctypes, ctypes.util, threading
from serving import memory
memory.share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
held, place = [], threading.Barrier(41)
def take():
    held.append(libc.malloc(1000))
    place.wait()
    place.wait()
for _ in range(40):
    threading.Thread(target=take, daemon=True).start()
place.wait()
libc.malloc_stats()
place.wait()
memory.give_back()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are glibc's")
def test_forty_threads_share_a_few_arenas() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert 2 <= done.stderr.count("Arena ") <= 8
