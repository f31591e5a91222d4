"""Section 16 of the protocol: what makes the command refuse to start, and what it says. Most are real processes."""

import sys
from pathlib import Path

import pytest
import uvicorn

from serving.modelserver.server import ModelServer, StartFailed
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.stand_ins import load, publish
from tests.modelserver.test_command import run

MODEL = "--model_base_path=/m"
ENTRY = 'name: "a" base_path: "/m" model_platform: "tensorflow"'


def config_of(*entries: str) -> str:
    return f"model_config_list {{ {' '.join(f'config {{ {entry} }}' for entry in entries)} }}"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(
            ["--model_name=a", "--model_base_path=relative/path"],
            "INVALID_ARGUMENT: Expected model a to have an absolute path or URI; got base_path()=relative/path",
            id="a relative base path",
        ),
        pytest.param(
            ["--model_name=a", "--model_base_path=s3://bucket/a"],
            "UNIMPLEMENTED: Model a has its versions at s3://bucket/a, but only folders of this machine are read here: "
            "mount or copy it, and give the absolute path",
            id="a base path on S3",
        ),
        pytest.param(
            [MODEL, "--batching_parameters_file=/no/such"],
            "INVALID_ARGUMENT: --batching_parameters_file supplied without --enable_batching",
            id="batching parameters without batching",
        ),
        pytest.param(
            [MODEL, "--enable_batching", "--batching_parameters_file=/no/such"],
            "NOT_FOUND: /no/such; No such file or directory",
            id="no batching parameters",
        ),
        pytest.param(
            [MODEL, "--monitoring_config_file=/no/such"],
            "NOT_FOUND: /no/such; No such file or directory",
            id="no monitoring config",
        ),
        pytest.param(
            [MODEL, "--use_alts_credentials", "--ssl_config_file=/no/such"],
            "INVALID_ARGUMENT: ALTS and SSL exclude each other: use_alts_credentials and ssl_config_file are both ",
            id="ALTS and SSL",
        ),
        pytest.param(
            [
                MODEL,
                "--tensorflow_session_parallelism=1",
                "--tensorflow_intra_op_parallelism=1",
                "--tensorflow_inter_op_parallelism=1",
            ],
            "INVALID_ARGUMENT: --tensorflow_session_parallelism sets what ",
            id="three kinds of parallelism",
        ),
    ],
)
def test_flags_that_cannot_be_followed_refuse_the_start(arguments: list[str], error: str) -> None:
    ended = run(*arguments)

    assert ended.returncode != 0
    assert f"Failed to start server. Error: {error}" in ended.stdout


@pytest.mark.parametrize(
    ("config", "error"),
    [
        pytest.param(
            config_of(ENTRY, ENTRY),
            "INVALID_ARGUMENT: Illegal to list model a multiple times in config list",
            id="a model twice",
        ),
        pytest.param(
            config_of('name: "a" base_path: "/m"'),
            "INVALID_ARGUMENT: Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is a",
            id="no platform",
        ),
        pytest.param(
            config_of('name: "a" base_path: "/m" model_platform: "caffe"'),
            "INVALID_ARGUMENT: Model a requests unsupported platform caffe",
            id="another platform",
        ),
        pytest.param(
            config_of('name: "a" base_path: "gs://bucket/a" model_platform: "tensorflow"'),
            "UNIMPLEMENTED: Model a has its versions at gs://bucket/a, but only folders of this machine are read here",
            id="a base path on Google Cloud",
        ),
        pytest.param(
            config_of(f'{ENTRY} version_labels {{ key: "stable" value: 1 }}'),
            "FAILED_PRECONDITION: Request to assign label to version 1 of model a, "
            "which is not currently available for inference",
            id="a label",
        ),
    ],
)
def test_a_config_that_cannot_be_followed_refuses_the_start(tmp_path: Path, config: str, error: str) -> None:
    (tmp_path / "models.config").write_text(config)

    ended = run(f"--model_config_file={tmp_path / 'models.config'}")

    assert ended.returncode != 0
    assert f"Failed to start server. Error: {error}" in ended.stdout


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("batching_parameters_file", "BatchingParameters"),
        ("monitoring_config_file", "MonitoringConfig"),
        ("ssl_config_file", "SSLConfig"),
    ],
)
def test_a_settings_file_that_does_not_parse_is_named_with_its_message(tmp_path: Path, flag: str, message: str) -> None:
    (tmp_path / "file").write_text("nonsense {")

    ended = run(MODEL, "--enable_batching", f"--{flag}={tmp_path / 'file'}")

    assert ended.returncode != 0
    assert f"Error parsing text-format tensorflow.serving.{message}: 1:" in ended.stderr
    assert (
        f"Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: '{tmp_path / 'file'}'" in ended.stdout
    )


@pytest.mark.parametrize("leaves", [True, False], ids=["by sys.exit", "by returning"])
def test_a_rest_port_that_ends_before_it_answers_refuses_the_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    async def startup(server: uvicorn.Server, sockets: object) -> None:
        server.should_exit = True
        if leaves:
            sys.exit(3)

    monkeypatch.setattr(uvicorn.Server, "startup", startup)
    config = ServerConfig(base_path=publish(tmp_path, "a", 1), grpc_port=0, rest_port=0)

    with pytest.raises(StartFailed, match=r"UNAVAILABLE: nobody answers at the REST port \d+: "):
        ModelServer(config, load).start()
