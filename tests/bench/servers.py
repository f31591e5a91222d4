"""`python -m serving.modelserver` and `python -m serving.gateway`, each alone in a process, for the benchmarks."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import following, free_port, resident_bytes

LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    pid: int
    ready_s: float
    """Seconds from the start of the process to its ports being open and its models available."""
    grpc: str = ""
    rest: str = ""
    gateway: str = ""

    @property
    def resident_mb(self) -> float:
        """Its memory now."""
        return resident_bytes(self.pid) / 1e6


@contextmanager
def modelserver(
    models: Path, names: Sequence[str], *options: str, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A model server over some models of a folder."""
    grpc, rest = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "models.config")
        entries = "".join(
            f'config {{ name: "{name}" base_path: "{(models / name).absolute()}" model_platform: "tensorflow" }}\n'
            for name in names
        )
        config.write_text(f"model_config_list {{ {entries} }}")
        command = [sys.executable, "-m", "serving.modelserver", f"--model_config_file={config}", f"--port={grpc}"]
        command += [f"--rest_api_port={rest}", f"--bind_address={LOCAL}", *options]
        begun = time.monotonic()
        with following(command, "Exporting HTTP/REST API", stderr=subprocess.STDOUT, env=env) as (process, _):
            yield Server(process.pid, time.monotonic() - begun, f"{LOCAL}:{grpc}", f"{LOCAL}:{rest}")


@contextmanager
def gateway(upstream: str, *, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A gateway alone in front of a model server."""
    port = free_port()
    command = [sys.executable, "-m", "serving.gateway", "--host", LOCAL, "--port", str(port), "--upstream", upstream]
    begun = time.monotonic()
    with following(command, f":{port}", stderr=subprocess.STDOUT, env=env) as (process, _):
        yield Server(process.pid, time.monotonic() - begun, gateway=f"{LOCAL}:{port}")
