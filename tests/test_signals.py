"""The first signal begins the end, the second does not wait for it; what the main thread does plays no part."""

import signal
import subprocess
import sys

import pytest

from tests.processes import CHECKOUT

PROGRAM = """
import threading, time
from serving.signals import Signals
lock = threading.Lock()
def begin():
    print("told", flush=True)
    time.sleep(60)
Signals(begin)
with lock:
    print("up", flush=True)
    lock.acquire()  # waits for ever, as a native call may
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stuck_process_hears_the_first_signal_and_ends_at_the_second(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.stdout.readline() == "told\n"
        assert process.poll() is None

        process.send_signal(number)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert number.name in said
