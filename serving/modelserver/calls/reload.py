"""HandleReloadConfigRequest and the polling of a config file: a new list of models instead of the old one."""

import re
from collections.abc import Iterable

from serving.errors import FailedPrecondition
from serving.modelserver import config_file
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.metrics import Metrics
from serving.wire.protos import ModelServerConfig


def apply(
    manager: ModelManager, config: ModelServerConfig, *, wait: bool = True, deadline: float | None = None
) -> None:
    """Replace what is served; a refused config changes nothing.

    Args:
        manager: who holds the models.
        config: the whole new list.
        wait: return only when each model that is new has a version available.
        deadline: of the wait, in time.monotonic() seconds.

    Raises:
        BadInput: a refusal of config_file.py.
        FailedPrecondition: a label for a version that is not available, or a folder says what is served.
        NotAvailable: a new model's versions all failed for good; everything else serves.
        DeadlineExceeded: the wait took too long; loading goes on.
    """
    if manager.root is not None:  # else whoever reaches the port could name other folders of this machine
        raise FailedPrecondition(
            f"the folder {manager.root.name} says what is served here: add or remove models there, "
            "or run python -m serving.modelserver, which takes reloads"
        )
    manager.configure(config_file.models(config, known=manager.names()), wait=wait, deadline=deadline)


def totals(metrics: Metrics, names: Iterable[str]) -> dict[str, float]:
    """What the named counters of the original stand at; names as they are inside it or on its page."""
    wanted = list(names)
    found = {}
    for original in metrics.originals:
        for name in wanted:
            if re.sub(r"[^a-zA-Z0-9_]", ":", name) == original.page_name:
                found[name] = original.total()
    return {name: found.get(name, 0.0) for name in wanted}
