"""Section 11.1 of the protocol: what a model config may say, and what is refused in one."""

import re
from pathlib import Path

import pytest
from google.protobuf import text_format

from serving.errors import BadInput, NotFound, Unimplemented
from serving.modelserver import config_file, text_files
from serving.modelserver.lifecycle.settings import All, Latest, Policy, Specific
from serving.wire.protos import BatchingParameters, ModelServerConfig


def config(*entries: str) -> ModelServerConfig:
    text = "model_config_list { " + " ".join(f"config {{ {entry} }}" for entry in entries) + " }"
    return text_format.Parse(text, ModelServerConfig())


def entry(name: str = "m", more: str = "", platform: str = 'model_platform: "tensorflow"') -> str:
    return f'name: "{name}" base_path: "/models/{name}" {platform} {more}'


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", Latest(1)),
        ("model_version_policy { latest {} }", Latest(1)),
        ("model_version_policy { latest { num_versions: 3 } }", Latest(3)),
        ("model_version_policy { all {} }", All()),
        ("model_version_policy { specific { versions: 1 versions: 7 } }", Specific(frozenset({1, 7}))),
    ],
)
def test_a_policy_is_read_as_it_is_written(policy: str, expected: Policy) -> None:
    (model,) = config_file.models(config(entry(more=policy)))

    assert model.policy == expected
    assert (model.name, model.base_path, model.labels) == ("m", Path("/models/m"), {})


def test_labels_are_read_and_several_may_name_one_version() -> None:
    labels = " ".join(f'version_labels {{ key: "{key}" value: {value} }}' for key, value in (("a", 1), ("b", 1)))

    (model,) = config_file.models(config(entry(more=labels)))

    assert model.labels == {"a": 1, "b": 1}


def test_the_deprecated_model_type_is_a_platform() -> None:
    (model,) = config_file.models(config(entry(platform="model_type: TENSORFLOW")))

    assert model.name == "m"


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        pytest.param([entry(), entry()], "Illegal to list model m multiple times in config list", id="twice"),
        pytest.param(
            ['name: "m" base_path: "models/m" model_platform: "tensorflow"'],
            "Expected model m to have an absolute path or URI; got base_path()=models/m",
            id="relative",
        ),
        pytest.param(
            ['name: "m" base_path: "/m\\000" model_platform: "tensorflow"'],
            "Expected model m to have an absolute path or URI; got base_path()=/m\0",
            id="a byte of zero",
        ),
        pytest.param(
            [entry(platform="")],
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is m",
            id="no platform",
        ),
        pytest.param(
            [entry(more="model_type: TENSORFLOW")],
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            "model name is m",
            id="two platforms",
        ),
        pytest.param(
            [entry(platform='model_platform: "caffe"')],
            "Model m requests unsupported platform caffe",
            id="another platform",
        ),
    ],
)
def test_what_the_original_refuses_is_refused_in_its_words(entries: list[str], text: str) -> None:
    with pytest.raises(BadInput) as refused:
        config_file.models(config(*entries))

    assert refused.value.message == text


def test_a_platform_may_not_change() -> None:
    with pytest.raises(BadInput) as refused:
        config_file.models(config(entry(platform='model_platform: "caffe"')), known=["m"])

    assert refused.value.message == (
        "Illegal to change a model's platform. For model m platform was tensorflow and new platform requested is caffe"
    )


@pytest.mark.parametrize(
    "empty", [ModelServerConfig(), text_format.Parse("custom_model_config {}", ModelServerConfig())]
)
def test_only_a_list_of_models_is_a_config(empty: ModelServerConfig) -> None:
    with pytest.raises(BadInput) as refused:
        config_file.models(empty)

    assert refused.value.message == (
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )


def test_an_empty_list_serves_nothing() -> None:
    assert config_file.models(config()) == []


def test_logging_of_requests_is_said_to_have_no_effect_once(caplog: pytest.LogCaptureFixture) -> None:
    entry = 'name: "logged" base_path: "/m" model_platform: "tensorflow" logging_config { log_collector_config {} }'
    config = text_format.Parse(f"model_config_list {{ config {{ {entry} }} }}", ModelServerConfig())
    for _ in range(3):
        config_file.models(config)

    assert [record.message for record in caplog.records] == [
        "Requests are not logged here: the logging_config of model logged has no effect"
    ]


def test_a_file_uri_is_a_path_and_a_remote_one_is_told_what_to_do() -> None:
    assert config_file.base_path("m", "file:///models/m") == Path("/models/m")
    with pytest.raises(Unimplemented, match="mount or copy it"):
        config_file.base_path("m", "gs://bucket/m")


@pytest.mark.parametrize(
    "text",
    [
        "model_config_list {\n  config { nme: 'x' } }",
        "model_config_list {",
        "nonsense",
        "model_config_list { config { model_version_policy { latest { num_versions: -1 } } } }",
    ],
)
def test_a_file_that_does_not_parse_is_told_with_its_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "models.config"
    file.write_text(text)

    with pytest.raises(BadInput, match="Invalid protobuf file"):
        config_file.read(file)

    line = capfd.readouterr().err
    assert re.match(r"Error parsing text-format tensorflow\.serving\.ModelServerConfig: \d+:\d+: \S", line)


def test_a_file_of_another_kind_names_its_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size: 3")

    with pytest.raises(BadInput):
        text_files.read(file, BatchingParameters)

    line = capfd.readouterr().err
    assert line.startswith("Error parsing text-format tensorflow.serving.BatchingParameters: 1:")


@pytest.mark.parametrize(
    "text", [b"\xff\xfem\x00", b'model_config_list { config { name: "caf\xe9" } }', b"caf\xe9 { }"]
)
def test_a_file_that_is_not_utf8_does_not_parse_either(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: bytes
) -> None:
    file = tmp_path / "models.config"
    file.write_bytes(text)

    with pytest.raises(BadInput, match="Invalid protobuf file"):
        config_file.read(file)

    line = capfd.readouterr().err
    assert re.match(r"Error parsing text-format tensorflow\.serving\.ModelServerConfig: 1:\d+: \S", line)


def test_any_bytes_may_stand_in_a_comment(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_bytes(b"# caf\xe9\nmodel_config_list { }")

    assert config_file.read(tmp_path / "models.config").WhichOneof("config") == "model_config_list"


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no-such-file; No such file or directory"):
        config_file.read(tmp_path / "no-such-file")
    with pytest.raises(NotFound, match="Is a directory"):
        config_file.read(tmp_path)
