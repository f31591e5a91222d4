"""The files that tensorflow_model_server reads, made in one place: `python -m serving.tensorflow_serving_files`.

It writes those of k8s/, which compose.yaml mounts too, and a test holds the committed files to it.
`python -m training models-config` writes the models.config of a models folder with its labels;
docs/gpu.md says why the figures are what they are.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.errors import BadInput
from serving.wire.protos import POOL, BatchingParameters, ConfigProto, ModelServerConfig, MonitoringConfig

SAMPLES = ("shapes_cnn", "shapes_mobilenet", "sample_reviews")
"""What the training Job of k8s/ makes when nobody changes it."""
METRICS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSettings:
    """How requests share one GPU."""

    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Batches are padded up to one of these, so that the GPU meets few shapes and tunes for each once."""
    wait_micros: int = 2000
    """Longest that a request waits for others."""
    queued_batches: int = 16
    """More are refused as UNAVAILABLE, which the gateway turns into its own shedding."""
    threads: int = 4
    """Batches under way at once: one computes while others are copied to and from the GPU."""
    memory_fraction: float = 0.9
    """Most of the GPU's memory that the process may grow to; CUDA itself needs the rest."""

    def __post_init__(self) -> None:
        """Refuse what TensorFlow Serving refuses."""
        if list(self.batch_sizes) != sorted(set(self.batch_sizes)) or not self.batch_sizes or self.batch_sizes[0] < 1:
            raise BadInput(f"batch_sizes must grow from 1 on, not {self.batch_sizes}")
        if min(self.queued_batches, self.threads) < 1 or self.wait_micros < 0:
            raise BadInput("queued_batches and threads must be at least 1, wait_micros at least 0")
        if not 0 < self.memory_fraction <= 1:
            raise BadInput(f"memory_fraction must be above 0 and at most 1, not {self.memory_fraction}")


def models(names: Sequence[str], folder: str = "/models") -> Any:
    """--model_config_file: the newest version of each model."""
    config = ModelServerConfig()
    for name in names:
        entry = config.model_config_list.config.add(
            name=name, base_path=f"{folder}/{name}", model_platform="tensorflow"
        )
        entry.model_version_policy.latest.num_versions = 1
    return config


def batching(settings: GpuSettings) -> Any:
    """--batching_parameters_file."""
    parameters = BatchingParameters(allowed_batch_sizes=settings.batch_sizes)
    parameters.max_batch_size.value = settings.batch_sizes[-1]
    parameters.batch_timeout_micros.value = settings.wait_micros
    parameters.max_enqueued_batches.value = settings.queued_batches
    parameters.num_batch_threads.value = settings.threads
    return parameters


def session(settings: GpuSettings) -> Any:
    """--tensorflow_session_config_file: memory is taken as it is needed, up to the fraction."""
    config = ConfigProto()
    config.gpu_options.allow_growth = True
    config.gpu_options.per_process_gpu_memory_fraction = settings.memory_fraction
    return config


def monitoring() -> Any:
    """--monitoring_config_file: counters for Prometheus on the REST port."""
    config = MonitoringConfig()
    config.prometheus_config.enable = True
    config.prometheus_config.path = METRICS_PATH
    return config


def files(settings: GpuSettings | None = None) -> dict[str, str]:
    """Every file of k8s/ by its path there."""
    chosen = settings or GpuSettings()
    messages = {
        "base/config/models.config": models(SAMPLES),
        "base/config/monitoring.config": monitoring(),
        "components/gpu/config/batching.config": batching(chosen),
        "components/gpu/config/session.config": session(chosen),
    }
    return {path: _text(message) for path, message in messages.items()}


def _text(message: Any) -> str:
    kind = message.DESCRIPTOR.full_name
    body: str = text_format.MessageToString(message, descriptor_pool=POOL)
    return f"# {kind}, by `python -m serving.tensorflow_serving_files`\n{body}"


def main(arguments: Sequence[str]) -> int:
    """Write the files under the folder given, k8s if none is."""
    folder = Path(arguments[0] if arguments else "k8s")
    for path, text in files().items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        print(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
