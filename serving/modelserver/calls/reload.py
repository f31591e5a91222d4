"""HandleReloadConfigRequest and the polling of a config file: a new list of models instead of the old one."""

import re
import threading
from collections.abc import Callable, Iterable, Sequence

from serving.modelserver import config_file
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.lifecycle.settings import ModelSettings
from serving.modelserver.metrics import Metrics
from serving.wire.protos import ModelServerConfig

ApplyConfig = Callable[[ModelServerConfig], None]
"""Puts a config in force; returns when its new models are available, raises ServingError if it is refused."""


class Reloading:
    """Applies one config after the other to a manager."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager
        self._lock = threading.Lock()

    def apply(self, config: ModelServerConfig) -> None:
        """Replace what is served; a refused config changes nothing.

        Raises:
            BadInput: a refusal of config_file.py.
            FailedPrecondition: a label for a version that is not available.
            Unknown: a new model did not become available.
        """
        with self._lock:
            models = config_file.models(config, known=self._manager.names())
            self._manager.configure(models, wait=True)

    def serve(self, models: Sequence[ModelSettings]) -> None:
        """The same for models that need no config; raises what `apply` does."""
        with self._lock:
            self._manager.configure(models, wait=True)


def totals(metrics: Metrics, names: Iterable[str]) -> dict[str, float]:
    """What the named counters of the original stand at; names as they are inside it or on its page."""
    wanted = list(names)
    found = {}
    for original in metrics.originals:
        for name in wanted:
            if re.sub(r"[^a-zA-Z0-9_]", ":", name) == original.page_name:
                found[name] = original.total()
    return {name: found.get(name, 0.0) for name in wanted}
