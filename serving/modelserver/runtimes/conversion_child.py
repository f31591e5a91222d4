"""The process that `conversion_process.py` starts: one version's folder from stdin, the compiled version to stdout."""

import contextlib
import logging
import os
import pickle
import sys
import threading
from pathlib import Path

from serving.errors import ServingError
from serving.modelserver.runtimes import compiled_version
from serving.modelserver.runtimes.conversion_process import Answer
from serving.modelserver.runtimes.protocol import RuntimeOptions


class _Kept(logging.Handler):
    """Keeps what is logged, for the server's log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text alone."""
        self.records.append((record.name, record.levelno, record.getMessage()))


def main() -> None:
    """Answer once and end."""
    with contextlib.suppress(OSError):  # when memory runs out, this process is to go and not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    order, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    folder, options = pickle.load(order)
    threading.Thread(target=_end_with_the_server, args=(order.fileno(),), daemon=True).start()
    pickle.dump(answer(folder, options), answers, protocol=5)
    answers.flush()
    os._exit(0)  # nothing to free: the system does it at once


def answer(folder: Path, options: RuntimeOptions) -> Answer:
    """Read and compile; errors of the family are answers too."""
    kept = _Kept()
    logging.getLogger().addHandler(kept)
    try:
        version = compiled_version.packed(compiled_version.read(folder, options, at_once=True))
        return Answer(version, None, tuple(kept.records))
    except ServingError as error:
        return Answer(None, error, tuple(kept.records))
    finally:
        logging.getLogger().removeHandler(kept)


def _end_with_the_server(order: int) -> None:
    """Nothing more comes: the end of stdin is the end of the server."""
    os.read(order, 1)
    os._exit(1)
