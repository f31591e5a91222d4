"""The committed configuration files are what the program writes, and parse as the messages that servers read."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from serving.errors import BadInput
from serving.modelserver import config_file, text_files
from serving.tensorflow_serving_files import SAMPLES, GpuSettings, files, main
from serving.wire.protos import BatchingParameters, ConfigProto, ModelServerConfig, MonitoringConfig
from tests.processes import CHECKOUT

K8S = CHECKOUT / "k8s"
KINDS: dict[str, Any] = {
    "models.config": ModelServerConfig,
    "monitoring.config": MonitoringConfig,
    "batching.config": BatchingParameters,
    "session.config": ConfigProto,
}


@pytest.mark.parametrize("path", files())
def test_a_committed_file_is_what_the_program_writes(path: str) -> None:
    assert (K8S / path).read_text() == files()[path], "run python -m serving.tensorflow_serving_files"


@pytest.mark.parametrize("path", files())
def test_a_committed_file_parses_as_its_message(path: str) -> None:
    message = text_files.read(K8S / path, KINDS[Path(path).name])

    assert message.ByteSize() > 0
    assert message.DESCRIPTOR.full_name in (K8S / path).read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("path", "module", "name"),
    [
        ("base/config/models.config", "tensorflow_serving.config.model_server_config_pb2", "ModelServerConfig"),
        ("components/gpu/config/session.config", "tensorflow.core.protobuf.config_pb2", "ConfigProto"),
    ],
)
def test_a_committed_file_parses_as_the_originals_own_message(path: str, module: str, name: str) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api: make install")
    original = getattr(__import__(module, fromlist=[name]), name)

    assert text_format.Parse((K8S / path).read_text(), original()).ByteSize() > 0


def test_the_models_are_read_by_the_model_server() -> None:
    found = config_file.models(config_file.read(K8S / "base/config/models.config"))

    assert [(entry.name, str(entry.base_path)) for entry in found] == [(name, f"/models/{name}") for name in SAMPLES]


def test_the_program_writes_every_file_into_a_folder(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.config")} == set(files())


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_sizes": (4, 2)},
        {"batch_sizes": ()},
        {"batch_sizes": (0, 8)},
        {"queued_batches": 0},
        {"threads": 0},
        {"wait_micros": -1},
        {"memory_fraction": 0.0},
        {"memory_fraction": 1.5},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        GpuSettings(**wrong)
