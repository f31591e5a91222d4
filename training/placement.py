"""Which device did what in the first step of a phase, written down for who wants to know whether the GPU works.

TensorFlow hands out the graphs as it cut them for the devices; `log_devices` asks for them.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorflow.python.eager import context


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Run the block and write the device of every operation in it: first the sums, then one line each.

    Raises:
        OSError: no space or no permission.
    """
    machine = context.context()
    machine.enable_run_metadata()
    try:
        yield
        graphs = machine.export_run_metadata().partition_graphs
    finally:
        machine.disable_run_metadata()
    path.write_text(_table([node for graph in graphs for node in graph.node]))


def _table(nodes: list[Any]) -> str:
    sums = Counter(node.device or "any device" for node in nodes)
    lines = [f"{device}\t{count} operations" for device, count in sorted(sums.items())]
    lines += ["", *sorted(f"{node.device or 'any device'}\t{node.op}\t{node.name}" for node in nodes)]
    return "\n".join(lines) + "\n"
