"""The flags themselves: name, kind, default, purpose, and what this server does not do with them.

Names and defaults of the first part are tensorflow_model_server's. flags.py reads a command line into this.
"""

import os
from dataclasses import dataclass, field
from typing import Any

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_TENSORFLOW_ONLY = "it tunes TensorFlow's own executor, which is not what runs models here"


def _flag(default: Any, purpose: str, **metadata: Any) -> Any:
    """A field; `no_effect` says why the flag changes nothing, `anyway` for which value that is no loss.

    `bits` of a whole number are 32 unless given, `least` is the smallest number that can be meant.
    """
    return field(default=default, metadata={"purpose": purpose, "anyway": default, **metadata})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Every flag with its value; the fields are the flags."""

    # Ports
    port: int = _flag(8500, "TCP port for gRPC. 0: no TCP port, then grpc_socket_path is needed.")
    grpc_socket_path: str = _flag("", "UNIX socket for gRPC, beside the port or instead of it.")
    rest_api_port: int = _flag(0, "TCP port for HTTP/REST, another one than port. 0: no REST.")
    rest_api_num_threads: int = _flag(4 * CPUS, "Threads that answer REST calls.")
    rest_api_timeout_in_ms: int = _flag(30000, "Longest a REST call may run, then it is answered 504.", least=1)
    rest_api_enable_cors_support: bool = _flag(False, "Send CORS headers with REST replies.")
    # Models
    model_name: str = _flag("default", "Name of the model at model_base_path.")
    model_base_path: str = _flag("", "Absolute path of a folder of versions. Needed unless model_config_file is given.")
    model_config_file: str = _flag("", "Text-format ModelServerConfig; overrides model_name and model_base_path.")
    model_config_file_poll_wait_seconds: int = _flag(0, "Read model_config_file again this often. 0: only once.")
    file_system_poll_wait_seconds: int = _flag(1, "Look for versions this often. 0: once, at start. Negative: never.")
    max_num_load_retries: int = _flag(5, "Tries after the first to load a version.", least=0)
    load_retry_interval_micros: int = _flag(60_000_000, "Microseconds between two tries.", bits=64, least=0)
    num_load_threads: int = _flag(0, "Versions loaded at a time, over all models. 0: four.", least=0)
    num_unload_threads: int = _flag(0, "Versions unloaded at a time.", no_effect="unloading takes no thread pool")
    flush_filesystem_caches: bool = _flag(
        True,
        "Drop file caches after the load.",
        no_effect="the operating system frees its caches when it needs to",
        anyway=False,
    )
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "Let the config give unused labels to versions that are not loaded."
    )
    saved_model_tags: str = _flag("serve", "Comma-separated tags of the graph to load.")
    enable_model_warmup: bool = _flag(True, "Replay a version's warm-up records before it is available.")
    num_request_iterations_for_warmup: int = _flag(0, "Times each warm-up record is run, if above 0.")
    enable_signature_method_name_check: bool = _flag(False, "Hold calls to the signature's method_name.")
    # Batching
    enable_batching: bool = _flag(False, "Merge requests as batching_parameters_file says.")
    batching_parameters_file: str = _flag("", "Text-format BatchingParameters; needs enable_batching.")
    enable_per_model_batching_parameters: bool = _flag(
        False, "Take batching parameters from batching_params.pbtxt in each version's folder."
    )
    # Watching
    monitoring_config_file: str = _flag("", "Text-format MonitoringConfig: where the Prometheus page is.")
    enable_profiler: bool = _flag(
        True, "Serve TensorFlow's profiler.", no_effect="the profiler service is not served", anyway=False
    )
    # gRPC
    grpc_channel_arguments: str = _flag("", "Comma-separated gRPC channel arguments, as key=value.")
    grpc_max_threads: int = _flag(4 * CPUS, "gRPC calls worked on at a time; never fewer than 1024 here.")
    enable_grpc_healthcheck_service: bool = _flag(False, "Serve grpc.health.v1.Health.")
    enable_serialization_as_tensor_content: bool = _flag(False, "Return numeric tensors as tensor_content.")
    ssl_config_file: str = _flag("", "Text-format SSLConfig: serve gRPC over TLS.")
    use_alts_credentials: bool = _flag(False, "Serve gRPC over ALTS (on Google Cloud only).")
    # TensorFlow
    tensorflow_session_parallelism: int = _flag(0, "Threads of TensorFlow's pools. 0: TensorFlow decides.")
    tensorflow_intra_op_parallelism: int = _flag(0, "Threads inside one TensorFlow operation. 0: TensorFlow decides.")
    tensorflow_inter_op_parallelism: int = _flag(0, "TensorFlow operations side by side. 0: TensorFlow decides.")
    tensorflow_session_config_file: str = _flag("", "Text-format tensorflow.ConfigProto for the TensorFlow runtime.")
    per_process_gpu_memory_fraction: float = _flag(0.0, "Share of each GPU's memory that TensorFlow takes.")
    platform_config_file: str = _flag(
        "", "Text-format PlatformConfigMap.", no_effect="there is one platform, set by the other flags"
    )
    thread_pool_factory_config_file: str = _flag("", "Thread pools of TensorFlow sessions.", no_effect=_TENSORFLOW_ONLY)
    prefer_tflite_model: bool = _flag(
        False, "Load model.tflite where there is one.", no_effect="saved_model.pb is what this server loads"
    )
    num_tflite_pools: int = _flag(CPUS, "TFLite interpreter pools.", no_effect="there is no TFLite interpreter")
    num_tflite_interpreters_per_pool: int = _flag(1, "As it says.", no_effect="there is no TFLite interpreter")
    remove_unused_fields_from_bundle_metagraph: bool = _flag(
        True, "Drop what is not needed of the graph.", no_effect="only the signatures of the graph are kept anyway"
    )
    mixed_precision: str = _flag("", "Mixed precision for TensorFlow.", no_effect="use --precision instead")
    skip_initialize_tpu: bool = _flag(False, "Do not initialize TPUs.", no_effect="TPUs are never touched")
    xla_cpu_compilation_enabled: bool = _flag(False, "Compile with XLA on CPUs.", no_effect=_TENSORFLOW_ONLY)
    xla_gpu_compilation_enabled: bool = _flag(False, "Compile with XLA on GPUs.", no_effect=_TENSORFLOW_ONLY)
    version: bool = _flag(False, "Print the versions and leave.")
    # Only here
    bind_address: str = _flag("0.0.0.0", "Address that both ports listen on.")
    precision: str = _flag(
        "auto",
        "f32, bf16, int8, or auto: bf16, else int8, where the CPU has it and the model card allows it.",
        one_of=("auto", "f32", "bf16", "int8"),
    )
    runtime: str = _flag(
        "auto",
        "openvino, tensorflow, or auto: OpenVINO for what it can run.",
        one_of=("auto", "openvino", "tensorflow"),
    )
    rest_api_body_seconds: float = _flag(
        600.0, "Longest a REST body may take to come, and an answer to be taken.", least=0.001
    )
    rest_api_most_buffered_bytes: int = _flag(
        0, "Bytes that the bodies of all REST requests may take together. 0: a quarter of the memory.", bits=64, least=0
    )
    rest_api_most_connections: int = _flag(
        0,
        "Open REST connections; more are answered 503. 0: three eighths of the limit of open files, 8192 at most.",
        least=0,
    )
    streams: int = _flag(0, "Runs computed side by side. 0: from the machine.", least=0)
    threads: int = _flag(0, "Threads that compute. 0: from the machine.", least=0)
    adaptive_batching: bool = _flag(True, "Without enable_batching: merge requests while the processor is busy.")
    drain_seconds: float = _flag(10.0, "After SIGTERM, longest wait for requests under way.", least=0)
    log_format: str = _flag("text", "text or json, one line each, on stderr.", one_of=("text", "json"))
    strict_flags: bool = _flag(False, "An unknown argument stops the server instead of being reported only.")
