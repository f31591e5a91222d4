"""The metrics pages: TensorFlow Serving's own, where it is configured, and ours at /metrics, always.

metrics.py keeps the counters. prometheus_client's writer would change the original's names, so that
page is written here.
"""

import math
from collections.abc import Mapping

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from serving.modelserver.metrics import Metrics, Original
from serving.modelserver.rest_app import Reply, Request

OWN_PATH = "/metrics"


def original_page(metrics: Metrics) -> str:
    """TensorFlow Serving's page: its names with colons, TYPE lines, no HELP, no times."""
    return "".join(_family(original) for original in metrics.originals)


def _family(original: Original) -> str:
    lines = [f"# TYPE {original.page_name} {original.kind}"]
    for suffix, labels, value in original.samples():
        lines.append(f"{original.page_name}{suffix}{_labels(labels)} {_number(value)}")
    return "\n".join(lines) + "\n" if len(lines) > 1 else ""


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(value)


class MetricsPages:
    """Both pages, as one door of the REST port."""

    def __init__(self, metrics: Metrics, original_path: str | None) -> None:
        """Args: original_path: where TensorFlow Serving's page is; None for nowhere."""
        self._metrics, self._original_path = metrics, original_path

    def owns(self, path: str) -> bool:
        """The two paths, whatever their query."""
        return path.partition("?")[0] in (self._original_path, OWN_PATH)

    def runs_models(self, method: str) -> bool:
        """Never."""
        return False

    def at_once(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """Nothing: collecting takes a while."""
        return None

    def answer(self, request: Request) -> Reply:
        """The page of the path."""
        if request.path.partition("?")[0] == self._original_path:
            return Reply(original_page(self._metrics).encode(), content_type=b"text/plain")
        return Reply(generate_latest(self._metrics.registry), content_type=CONTENT_TYPE_LATEST.encode())
