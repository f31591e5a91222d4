"""Load versions while others answer: converted and compiled by a process of low priority, run in this one.

A load takes a second of one core. In this process it would take that from the requests under way: the
priority of a thread cannot be raised again without privileges, and the threads that compute answers
inherit it. What `conversion_child.py` sends back is loaded here in a tenth of that time.
"""

import contextlib
import logging
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from serving.errors import ServingError, Unavailable
from serving.modelserver.runtimes import choice, compiled_version
from serving.modelserver.runtimes.compiled_version import CompiledVersion, PackedVersion
from serving.modelserver.runtimes.protocol import LoadedModel, RuntimeOptions

_LOG = logging.getLogger(__name__)

WORTH_IT_BYTES = 256 * 1024
"""Of a version without what lies in assets.extra. Smaller ones are loaded within milliseconds, a process starts in
half a second of CPU."""
LONGEST_S = 300.0
"""Then the version is loaded in place. On a machine without an idle core a process of the idle class gets less than
a hundredth of one."""
_ROOT = Path(__file__).parents[3]
_BEGIN = """\
import contextlib, os, sys
os.nice(19)
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
sys.path.insert(0, sys.argv[1])
from serving.modelserver.runtimes import conversion_child
conversion_child.main()
"""
"""Low priority comes first: importing is a third of the work. A thread that wakes up takes the core from an idle-class
one at once; from one that is only nice, the kernel lets it wait for milliseconds (sched(7); Linux 6.6 and later)."""
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process has to say."""

    version: PackedVersion | None = None
    """None: it cannot be sent, or failed."""
    error: ServingError | None = None
    """What loading in place would have raised."""
    log: tuple[tuple[str, int, str], ...] = ()
    """Records: logger, level, text."""


class _NoProcess(Exception):
    """The work cannot be done elsewhere; the text says why."""


class VersionLoader:
    """Loads versions for a server: in place until it serves, in a process besides from then on."""

    def __init__(self, options: RuntimeOptions, worth_it_bytes: int = WORTH_IT_BYTES) -> None:
        """Args: options: for every version; worth_it_bytes: smallest version for which a process is started."""
        self._options, self._worth_it_bytes = options, worth_it_bytes
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self.serves = False
        """Whether there are requests that a load should not disturb."""

    def load(self, folder: Path) -> LoadedModel:
        """As choice.load; also raises Unavailable once it is stopped."""
        if self.serves and _size(folder) >= self._worth_it_bytes:
            try:
                if (version := self._elsewhere(folder)) is not None:
                    return choice.served(version, self._options)
            except (_NoProcess, RuntimeError) as error:
                _LOG.warning("%s is loaded in the serving process: %s", folder, error)
        return choice.load(folder, self._options)

    def stop(self) -> None:
        """End the processes; loads that wait for one fail."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _elsewhere(self, folder: Path) -> CompiledVersion | None:
        """The version as another process compiled it; None if it has to be compiled here.

        Raises:
            _NoProcess: there is none, it was killed, or it takes too long.
            RuntimeError: OpenVINO does not take what it sent, or there is no thread.
            ServingError: what is wrong with the version.
        """
        with self._process() as process:
            answer = _asked(process, folder, self._options)
        for name, level, text in answer.log:
            logging.getLogger(name).log(level, "%s", text)
        if answer.error is not None:
            raise answer.error
        return compiled_version.unpacked(answer.version) if answer.version is not None else None

    @contextlib.contextmanager
    def _process(self) -> Iterator[subprocess.Popen[bytes]]:
        """One that is gone when the block ends."""
        with self._lock:
            if self._stopped:
                raise Unavailable("the server is shutting down")
            process = _started()
            self._running.add(process)
        try:
            yield process
        finally:
            with self._lock:
                self._running.discard(process)
            process.kill()
            process.communicate()
            if self._stopped:
                raise Unavailable("the server is shutting down")


def _started() -> subprocess.Popen[bytes]:
    """One that hears no Ctrl-C, which is meant for the server, and that ends when its stdin does.

    It stays in the server's session: where the kernel shares cores among sessions (autogroup), low priority would
    mean nothing in one of its own.
    """
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _BEGIN, str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        raise _NoProcess(f"no process can be started: {error}") from error


def _asked(process: subprocess.Popen[bytes], folder: Path, options: RuntimeOptions) -> Answer:
    """Send the order and wait for the answer. What is unpickled was made by this project's own code, in the child."""
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Timer(LONGEST_S, process.kill)
    late.daemon = True
    try:
        late.start()
        pickle.dump((folder, options), process.stdin)
        process.stdin.flush()
        return _received(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        code = -process.wait()
        if code in _CRASHES:
            text = f"OpenVINO crashed ({signal.Signals(code).name}) while it loaded this version; export it again"
            raise ServingError(text) from error
        ended = signal.Signals(code).name if code > 0 else f"exit code {-code}"
        raise _NoProcess(f"the process for it ended with {ended}") from error
    finally:
        late.cancel()


def _received(stream: IO[bytes]) -> Answer:
    found: Any = pickle.load(stream)
    if not isinstance(found, Answer):
        raise pickle.UnpicklingError("no answer")
    return found


def _size(folder: Path) -> int:
    """Bytes of the graph and its variables; 0 where they cannot be looked at, which loading will say."""
    try:
        parts = [*folder.glob("saved_model.pb*"), *folder.glob("variables/*")]
        return sum(part.stat().st_size for part in parts)
    except OSError:
        return 0
