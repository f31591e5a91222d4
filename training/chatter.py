"""What TensorFlow says while it is loaded, kept off stderr as far as nobody can mend it.

Two of its libraries log from static initializers, before they read TF_CPP_MIN_LOG_LEVEL: that there are oneDNN
operations, and no CUDA drivers. Nothing but their stderr can be turned away then. The lines go through a process of
their own, so that the last words of a TensorFlow that dies while it is loaded (a CPU without AVX) are still shown.
"""

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_INFORMATION = (rb"I\d{4} ", rb"WARNING: All log messages before absl::InitializeLog\(\) ")
_NO_DRIVER = rb"E\d{4} .*failed call to cuInit: .*\(303\)"
"""CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, no driver's library: an error only where there is an NVIDIA device."""
_FILTER = """
import re, sys
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""
_LAST_LINES_S = 5.0


@contextlib.contextmanager
def dropped() -> Iterator[None]:
    """Within the block TensorFlow is loaded without its remarks, unless TF_CPP_MIN_LOG_LEVEL asks for them (0 or 1)."""
    if os.environ.setdefault(_LEVEL, "2") in {"0", "1"} or "tensorflow" in sys.modules:
        yield
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no stderr, no process: then nothing is dropped
            stack.enter_context(_filtered(_pattern(gpu=any(Path("/dev").glob("nvidia*")))))
        yield
        if "tensorflow" in sys.modules:
            sys.modules["tensorflow"].config.list_physical_devices()  # the first question asks CUDA
            logging.getLogger("tensorflow").addFilter(_no_retracing)


def _pattern(*, gpu: bool) -> str:
    """What the lines begin with that are dropped."""
    return rb"|".join(_INFORMATION if gpu else (*_INFORMATION, _NO_DRIVER)).decode()


@contextlib.contextmanager
def _filtered(pattern: str) -> Iterator[None]:
    """File descriptor 2 leads through a filter that drops the lines which begin so."""
    stderr = os.dup(2)
    command = [sys.executable, "-I", "-S", "-c", _FILTER, pattern]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr, start_new_session=True)
    except OSError:
        os.close(stderr)
        raise
    assert process.stdin is not None, "it was asked for"
    os.dup2(process.stdin.fileno(), 2)
    process.stdin.close()
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        with contextlib.suppress(subprocess.TimeoutExpired):  # something else may hold the pipe open
            process.wait(_LAST_LINES_S)


def _no_retracing(record: logging.LogRecord) -> bool:
    """TensorFlow counts how often a function is traced by its address, which several networks have after each other."""
    return "triggered tf.function retracing" not in str(record.msg)
