"""Section 15 of the protocol: the flags, and what they make of the server."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from serving.errors import BadInput, ServingError
from serving.modelserver import flags
from serving.modelserver.flag_effects import channel_arguments, config_of
from serving.modelserver.flag_table import CPUS, Flags

DEFAULTS: dict[str, Any] = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "rest_api_num_threads": 4 * CPUS,
    "rest_api_timeout_in_ms": 30000,
    "rest_api_enable_cors_support": False,
    "model_name": "default",
    "model_base_path": "",
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "file_system_poll_wait_seconds": 1,
    "max_num_load_retries": 5,
    "load_retry_interval_micros": 60000000,
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "flush_filesystem_caches": True,
    "allow_version_labels_for_unavailable_models": False,
    "enable_batching": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "monitoring_config_file": "",
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "grpc_channel_arguments": "",
    "grpc_max_threads": 4 * CPUS,
    "enable_grpc_healthcheck_service": False,
    "ssl_config_file": "",
    "use_alts_credentials": False,
    "saved_model_tags": "serve",
    "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "tensorflow_session_config_file": "",
    "platform_config_file": "",
    "thread_pool_factory_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "enable_signature_method_name_check": False,
    "enable_serialization_as_tensor_content": False,
    "prefer_tflite_model": False,
    "num_tflite_pools": CPUS,
    "num_tflite_interpreters_per_pool": 1,
    "remove_unused_fields_from_bundle_metagraph": True,
    "enable_profiler": True,
    "mixed_precision": "",
    "skip_initialize_tpu": False,
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "version": False,
}


def given(*arguments: str) -> Flags:
    """Flags of a server that could start."""
    return flags.parse(["--model_base_path=/models/m", *arguments]).flags


def test_every_flag_of_the_original_has_its_name_and_default() -> None:
    ours = {field.name: field.default for field in fields(Flags)}

    assert {name: ours[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_flag_of_the_original_is_accepted(name: str) -> None:
    kind = type(DEFAULTS[name])
    value = {bool: "true", int: "3", float: "0.5", str: "text"}[kind]

    line = flags.parse([f"--{name}={value}"])

    assert getattr(line.flags, name) == {bool: True, int: 3, float: 0.5, str: "text"}[kind]
    assert line.unknown == ()


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--prot=8500", "unknown argument: --prot=8500 (did you mean --port?)"),
        ("--model-name=m", "unknown argument: --model-name=m (write --model_name=VALUE)"),
        ("--port", "unknown argument: --port (write --port=VALUE)"),
        ("8500", "unknown argument: 8500"),
        ("-port=1", "unknown argument: -port=1 (write --port=VALUE)"),
    ],
)
def test_an_unknown_argument_is_reported_with_the_nearest_flag(argument: str, told: str) -> None:
    line = flags.parse([argument])

    assert line.unknown == (argument,)
    assert flags.complaint(argument) == told


def test_flags_without_effect_are_accepted_and_said_to_have_none() -> None:
    line = flags.parse(
        ["--mixed_precision=bfloat16", "--enable_profiler", "--num_unload_threads=4", "--prefer_tflite_model"]
    )

    assert line.warnings == (
        "--mixed_precision has no effect here: use --precision instead",
        "--enable_profiler has no effect here: the profiler service is not served",
        "--num_unload_threads has no effect here: unloading takes no thread pool",
        "--prefer_tflite_model has no effect here: saved_model.pb is what this server loads",
    )


def test_nothing_is_said_of_flags_that_ask_for_what_is_done_anyway() -> None:
    line = flags.parse(["--enable_profiler=false", "--flush_filesystem_caches=false", "--prefer_tflite_model=false"])

    assert line.warnings == ()


def test_usage_names_every_flag() -> None:
    text = flags.usage()

    assert all(f"--{field.name}=" in text for field in fields(Flags))


def test_zero_ports_are_off_and_others_are_taken() -> None:
    config = config_of(given("--port=0", "--grpc_socket_path=/run/s.sock", "--rest_api_port=8501"))

    assert (config.grpc_port, config.rest_port) == (None, 8501)
    assert config.grpc_socket_path == Path("/run/s.sock")
    assert config_of(given()).rest_port is None


def test_flags_reach_the_settings_they_name(tmp_path: Path) -> None:
    config = config_of(
        given(
            "--model_name=m",
            "--file_system_poll_wait_seconds=-1",
            "--max_num_load_retries=2",
            "--load_retry_interval_micros=500000",
            "--rest_api_timeout_in_ms=1500",
            "--saved_model_tags=serve,gpu",
            "--enable_model_warmup=false",
            "--num_request_iterations_for_warmup=3",
            "--allow_version_labels_for_unavailable_models",
            "--enable_serialization_as_tensor_content",
            "--enable_signature_method_name_check",
            "--precision=f32",
            "--streams=2",
            "--bind_address=127.0.0.1",
        )
    )

    assert (config.base_path, config.name) == (Path("/models/m"), "m")
    life = config.lifecycle
    assert (life.poll_s, life.load_retries, life.load_retry_interval_s) == (-1, 2, 0.5)
    assert life.allow_labels_for_unavailable
    assert (life.warmup.enabled, life.warmup.iterations) == (False, 3)
    assert (config.runtime.precision, config.runtime.streams) == ("f32", 2)
    assert config.runtime.tags == {"serve", "gpu"}
    assert config.rest_timeout_s == 1.5
    assert config.tensor_content
    assert config.check_method_names
    assert config.bind_address == "127.0.0.1"
    assert given().bind_address == "0.0.0.0"


def test_a_config_file_overrides_name_and_base_path() -> None:
    config = config_of(given("--model_config_file=/etc/models.config", "--model_config_file_poll_wait_seconds=5"))

    assert (config.model_config_file, config.base_path, config.config_poll_s) == (Path("/etc/models.config"), None, 5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--model_base_path="], "Both model_base_path and model_config_file are empty"),
        (["--port=0"], "Neither a gRPC port nor a UNIX socket is given"),
        (["--port=70000"], "70000 is no TCP port for gRPC"),
        (["--port=-1"], "-1 is no TCP port for gRPC"),
        (["--rest_api_port=65536"], "65536 is no TCP port for REST"),
        (["--rest_api_timeout_in_ms=0"], "--rest_api_timeout_in_ms=0 must be at least 1"),
        (["--max_num_load_retries=-1"], "--max_num_load_retries=-1 must be at least 0"),
        (["--load_retry_interval_micros=-1"], "--load_retry_interval_micros=-1 must be at least 0"),
        (["--num_load_threads=-1"], "--num_load_threads=-1 must be at least 0"),
        (["--drain_seconds=-1"], "--drain_seconds=-1.0 must be at least 0"),
        (["--rest_api_body_seconds=0"], "--rest_api_body_seconds=0.0 must be at least 0.001"),
        (["--model_base_path=models/m"], "Expected model default to have an absolute path or URI; got base_path()="),
        (["--batching_parameters_file=/b"], "--batching_parameters_file supplied without --enable_batching"),
        (["--enable_batching", "--batching_parameters_file=/no/such/file"], "/no/such/file; No such file or directory"),
        (["--monitoring_config_file=/no/such/file"], "/no/such/file; No such file or directory"),
        (["--use_alts_credentials", "--ssl_config_file=/s"], "ALTS and SSL exclude each other"),
        (
            [f"--tensorflow_{kind}_parallelism=2" for kind in ("session", "intra_op", "inter_op")],
            "--tensorflow_session_parallelism sets what",
        ),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(arguments: list[str], text: str) -> None:
    with pytest.raises(ServingError, match=re.escape(text)):
        config_of(given(*arguments))


def test_batching_parameters_are_read_with_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "batching"
    file.write_text("max_batch_size { value: 32 } allowed_batch_sizes: 8 allowed_batch_sizes: 32")

    batching = config_of(given("--enable_batching", f"--batching_parameters_file={file}")).lifecycle.batching

    assert batching.mode == "scheduled"
    parameters = batching.parameters
    assert (parameters.max_batch_size, parameters.allowed_batch_sizes) == (32, (8, 32))
    assert (parameters.max_enqueued_batches, parameters.thread_pool_name) == (10, "batch_threads")
    plain = config_of(given("--enable_batching")).lifecycle.batching.parameters
    assert plain.thread_pool_name == "model_server_batch_threads"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: true path: "/my/metrics" }', "/my/metrics"),
        ("prometheus_config { enable: false }", None),
        ("", None),
    ],
)
def test_the_monitoring_config_says_where_the_page_is(tmp_path: Path, text: str, path: str | None) -> None:
    file = tmp_path / "monitoring"
    file.write_text(text)

    assert config_of(given(f"--monitoring_config_file={file}")).monitoring_path == path


def test_channel_arguments_are_whole_numbers_or_text() -> None:
    text = "grpc.max_connection_age_ms=5000,grpc.name=x=y,,unknown=-1,most=2147483647,more=2147483648,a=" + "9" * 5000
    assert channel_arguments(text) == (
        ("grpc.max_connection_age_ms", 5000),
        ("grpc.name", "x=y"),
        ("unknown", -1),
        ("most", 2147483647),
        ("more", "2147483648"),
        ("a", "9" * 5000),
    )


def test_tls_needs_a_key_and_a_certificate(tmp_path: Path) -> None:
    file = tmp_path / "ssl"
    file.write_text('server_key: "k" client_verify: true')

    with pytest.raises(BadInput, match="must hold server_key and server_cert"):
        config_of(given(f"--ssl_config_file={file}"))
    file.write_text('server_key: "k" server_cert: "c" custom_ca: "a" client_verify: true')
    tls = config_of(given(f"--ssl_config_file={file}")).tls
    assert tls is not None
    assert (tls.key, tls.certificate, tls.custom_ca, tls.client_verify) == (b"k", b"c", b"a", True)
