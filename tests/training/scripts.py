"""Training in processes of their own, for tests of what one process cannot show: an end by force, many devices."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
_PROGRAM = """
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.training.tiny import LIVELY, TINY, learned, order_of
from training import session
from training.progress import Progress
from training.run_folder import RunFolder

pictures, place = Path(sys.argv[1]), Path(sys.argv[2])
silent = Progress(visible=False)
order = replace(order_of(pictures, place / "cache", place / "models"), runs=place / "runs")
"""


def start(lines: str, *words: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Run a program that begins with the imports above; `words` are its arguments, pictures and folder first."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM + textwrap.dedent(lines), *(str(word) for word in words)],
        cwd=CHECKOUT, env=os.environ | _QUIET | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], timeout_s: float = 240) -> tuple[int, str, str]:
    """Wait for the end: exit code, stdout, stderr."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
    return process.returncode, out, err


def cluster(index: int, ports: list[int]) -> dict[str, str]:
    """The TF_CONFIG of one worker of several on this machine."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    config: dict[str, Any] = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
    return {"TF_CONFIG": json.dumps(config)}
