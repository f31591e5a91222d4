"""From flags to a ServerConfig: what the command line and the files that it names ask of the server."""

import dataclasses
import re
from pathlib import Path
from typing import TypeVar

from serving.errors import BadInput
from serving.modelserver import text_files
from serving.modelserver.config_file import base_path
from serving.modelserver.flag_table import Flags
from serving.modelserver.lifecycle.batching.parameters import BatchingOptions, BatchingParameters
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.lifecycle.warmup import WarmupOptions
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.modelserver.server_config import ServerConfig, Tls
from serving.wire import protos

T = TypeVar("T")

_DEFAULT_MONITORING_PATH = "/monitoring/prometheus/metrics"
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,10}\s*", re.ASCII)
_FEWEST_CALLS = 1024
_FEWEST_REST_THREADS = 32


def config_of(flags: Flags) -> ServerConfig:
    """The configuration that the flags describe; files that they name are read.

    Raises:
        ServingError: flags that exclude each other, or a file that cannot be used.
    """
    _check(flags)
    by_file = bool(flags.model_config_file)
    return ServerConfig(
        base_path=None if by_file else base_path(flags.model_name, flags.model_base_path),
        model_name="" if by_file else flags.model_name,
        model_config_file=Path(flags.model_config_file) if by_file else None,
        config_poll_s=float(flags.model_config_file_poll_wait_seconds),
        bind_address=flags.bind_address,
        grpc_port=flags.port or None,
        grpc_socket_path=Path(flags.grpc_socket_path) if flags.grpc_socket_path else None,
        grpc_arguments=channel_arguments(flags.grpc_channel_arguments),
        most_calls=max(_FEWEST_CALLS, flags.grpc_max_threads),
        tls=_tls(flags.ssl_config_file) if flags.ssl_config_file else None,
        alts=flags.use_alts_credentials,
        health_service=flags.enable_grpc_healthcheck_service,
        rest_port=flags.rest_api_port or None,
        rest_threads=max(_FEWEST_REST_THREADS, flags.rest_api_num_threads),
        rest_timeout_s=flags.rest_api_timeout_in_ms / 1000,
        rest_cors=flags.rest_api_enable_cors_support,
        body_total_s=flags.rest_api_body_seconds,
        most_buffered_bytes=flags.rest_api_most_buffered_bytes,
        most_connections=flags.rest_api_most_connections,
        monitoring_path=_monitoring_path(flags.monitoring_config_file) if flags.monitoring_config_file else None,
        tensor_content=flags.enable_serialization_as_tensor_content,
        check_method_names=flags.enable_signature_method_name_check,
        drain_s=flags.drain_seconds,
        runtime=_runtime(flags),
        lifecycle=_lifecycle(flags),
    )


def channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    """`k=v,k=v` as gRPC takes it: whole numbers of 32 bits as int, everything else as text."""
    pairs: list[tuple[str, int | str]] = []
    for item in filter(None, text.split(",")):
        key, _, value = item.partition("=")
        whole = int(value) if _WHOLE.fullmatch(value) else 2**31
        pairs.append((key.strip(), whole if -(2**31) <= whole < 2**31 else value))
    return tuple(pairs)


def _check(flags: Flags) -> None:
    for field in dataclasses.fields(flags):
        value, least = getattr(flags, field.name), field.metadata.get("least")
        if least is not None and value < least:
            raise BadInput(f"--{field.name}={value} must be at least {least}")
    if not flags.model_base_path and not flags.model_config_file:
        raise BadInput("Both model_base_path and model_config_file are empty: give one of them")
    if not flags.port and not flags.grpc_socket_path:
        raise BadInput("Neither a gRPC port nor a UNIX socket is given: set --port or --grpc_socket_path")
    if flags.use_alts_credentials and flags.ssl_config_file:
        raise BadInput("ALTS and SSL exclude each other: use_alts_credentials and ssl_config_file are both given")


def _lifecycle(flags: Flags) -> LifecycleOptions:
    return LifecycleOptions(
        poll_s=flags.file_system_poll_wait_seconds,
        load_retries=flags.max_num_load_retries,
        load_threads=flags.num_load_threads or LifecycleOptions().load_threads,
        load_retry_interval_s=flags.load_retry_interval_micros / 1e6,
        allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
        batching=_batching(flags),
        warmup=WarmupOptions(enabled=flags.enable_model_warmup, iterations=flags.num_request_iterations_for_warmup),
    )


def _batching(flags: Flags) -> BatchingOptions:
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise BadInput("--batching_parameters_file supplied without --enable_batching")
        return BatchingOptions(mode="adaptive" if flags.adaptive_batching else "none")
    parameters = BatchingParameters()
    if flags.batching_parameters_file:
        message = text_files.read(flags.batching_parameters_file, protos.BatchingParameters)
        parameters = BatchingParameters.from_proto(message)
        if not message.HasField("thread_pool_name"):
            parameters = dataclasses.replace(parameters, thread_pool_name="batch_threads")
    return BatchingOptions(
        mode="scheduled", parameters=parameters, per_model=flags.enable_per_model_batching_parameters
    )


def _runtime(flags: Flags) -> RuntimeOptions:
    every, intra, inter = (
        flags.tensorflow_session_parallelism,
        flags.tensorflow_intra_op_parallelism,
        flags.tensorflow_inter_op_parallelism,
    )
    if every > 0 and intra > 0 and inter > 0:
        raise BadInput(
            "--tensorflow_session_parallelism sets what --tensorflow_intra_op_parallelism and "
            "--tensorflow_inter_op_parallelism set as well: give it, or the other two"
        )
    session = b""
    if flags.tensorflow_session_config_file:
        session = text_files.read(flags.tensorflow_session_config_file, protos.ConfigProto).SerializeToString()
    return RuntimeOptions(
        precision=_one_of(flags.precision, "auto", "f32", "bf16", "int8"),
        runtime=_one_of(flags.runtime, "auto", "openvino", "tensorflow"),
        streams=flags.streams,
        threads=flags.threads,
        tags=frozenset(filter(None, flags.saved_model_tags.split(","))),
        intra_op_threads=intra or every,
        inter_op_threads=inter or every,
        session_config=session,
        gpu_memory_fraction=flags.per_process_gpu_memory_fraction,
    )


def _one_of(text: str, *allowed: T) -> T:
    """A text that was checked against these already, for the type checker."""
    return next(value for value in allowed if value == text)


def _monitoring_path(file: str) -> str | None:
    found = text_files.read(file, protos.MonitoringConfig).prometheus_config
    if not found.enable:
        return None
    return found.path or _DEFAULT_MONITORING_PATH


def _tls(file: str) -> Tls:
    found = text_files.read(file, protos.SSLConfig)
    if not found.server_key or not found.server_cert:
        raise BadInput(f"{file} must hold server_key and server_cert, as PEM texts")
    return Tls(
        key=found.server_key.encode(),
        certificate=found.server_cert.encode(),
        custom_ca=found.custom_ca.encode() or None,
        client_verify=found.client_verify,
    )
