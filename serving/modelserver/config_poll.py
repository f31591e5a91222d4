"""Re-reads a model config file at intervals and applies it like a reload; what is refused changes nothing."""

import logging
import threading
from pathlib import Path

from serving.errors import ServingError
from serving.modelserver import config_file
from serving.modelserver.calls import reload
from serving.modelserver.lifecycle.manager import ModelManager

log = logging.getLogger(__name__)


class ConfigPoll:
    """The thread that looks."""

    def __init__(self, path: Path, every_s: float, manager: ModelManager) -> None:
        self._path, self._every_s, self._manager = path, every_s, manager
        self._stopping = threading.Event()
        self._last_problem = ""
        self._thread = threading.Thread(target=self._run, name="config-poll", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                reload.apply(self._manager, config_file.read(self._path), wait=False)
                self._last_problem = ""
            except ServingError as error:
                self._tell(f"{error.code.name}: {error.message}")
            except Exception:  # whatever it was, the next look may work
                log.exception("the model config file was not applied")

    def _tell(self, problem: str) -> None:
        """Log a problem once, not at every look."""
        if problem != self._last_problem and not self._stopping.is_set():
            log.error("%s was not applied, everything stays as it is: %s", self._path, problem)
        self._last_problem = problem

    def stop(self) -> None:
        """Look no more; waits for the look under way."""
        self._stopping.set()
        self._thread.join()
