"""Images built and run for real: by a Docker engine where one answers, else by buildah, podman and runc.

Without a registry the base image is made by base_image.sh. Containers share the host's network and listen
on loopback, so that nothing needs to be forwarded; each gets the hardening of k8s/.
"""

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import CHECKOUT

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
HARDENED = (
    *("--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--pids-limit=200", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"),
)


def run(*command: str, timeout_s: float = 600, check: bool = True) -> str:
    """What a command prints on stdout.

    Raises:
        AssertionError: it failed; with all that it printed.
    """
    answer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert not check or answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout[-4000:]}\n{answer.stderr[-4000:]}"
    return answer.stdout.strip()


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to build and run; `program` is docker or podman."""

    program: str

    def build(self, target: str) -> str:
        """Build one target of the Dockerfile; returns the image's name."""
        name = f"localhost/slipway-{target}:0.1.0"
        ending = ["--target", target, "--tag", name, "."]
        if self.program == "docker":
            run("docker", "build", "--quiet", *ending, timeout_s=1200)
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
                settings.write(f"[global]\ncert = {CERTIFICATES}\n")
                settings.flush()
                volumes = [f"-v={CERTIFICATES}:{CERTIFICATES}:ro", f"-v={settings.name}:/etc/pip.conf:ro"]
                options = ["--format=docker", "--isolation=chroot", "--network=host", "--layers", *volumes]
                run("buildah", "bud", "--quiet", *options, *ending, timeout_s=1200)
        return name

    def base(self) -> str:
        """The image that the Dockerfile starts from, made here if it cannot be had."""
        tag = re.search(r"^ARG PYTHON_TAG=(\S+)$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
        assert tag is not None
        name = f"docker.io/library/python:{tag[1]}"
        if self.program == "podman":
            run(str(CHECKOUT / "tests/images/base_image.sh"), name)
        else:
            run("docker", "pull", "--quiet", name)
        return name

    def describe(self, kind: str, name: str) -> dict[str, object]:
        """What `inspect` says of an image or a container."""
        found: list[dict[str, object]] = json.loads(run(self.program, kind, "inspect", name))
        return found[0]

    def size(self, image: str) -> int:
        """Bytes of all layers."""
        return int(str(self.describe("image", image)["Size"]))

    @contextmanager
    def container(
        self,
        image: str,
        *words: str,
        env: Mapping[str, str] | None = None,
        mounts: Sequence[str] = (),
        memory: str = "512m",
    ) -> Iterator["Container"]:
        """Run an image hardened until the block ends; `words` stand for the image's CMD."""
        runtime = ["--runtime=runc"] if self.program == "podman" else []
        given = [f"--env={name}={value}" for name, value in (env or {}).items()]
        volumes = [f"--volume={mount}" for mount in mounts]
        name = run(
            self.program, *runtime, "run", "--detach", f"--memory={memory}", *HARDENED, *given, *volumes, image, *words
        ).splitlines()[-1]
        try:
            yield Container(self, name)
        finally:
            run(self.program, "rm", "--force", name, check=False)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started."""

    engine: Engine
    name: str

    def execute(self, *command: str, check: bool = True) -> str:
        """What a command inside prints."""
        return run(self.engine.program, "exec", self.name, *command, check=check)

    def logs(self) -> str:
        """All that it has printed so far."""
        command = [self.engine.program, "logs", self.name]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return answer.stdout + answer.stderr

    def state(self) -> dict[str, object]:
        """Running, ExitCode and the like."""
        state = self.engine.describe("container", self.name)["State"]
        assert isinstance(state, dict)
        return state

    def health(self) -> bool:
        """Whether the image's own HEALTHCHECK passes now."""
        if self.engine.program == "podman":
            command = ["podman", "healthcheck", "run", self.name]
            return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
        health = self.state()["Health"]
        return isinstance(health, dict) and health["Status"] == "healthy"

    def wait_until_healthy(self, timeout_s: float = 60) -> float:
        """Seconds until the HEALTHCHECK passes.

        Raises:
            AssertionError: it ended before, or does not in time; with its log.
        """
        begun = time.monotonic()
        while not self.health():
            assert self.state()["Running"], self.logs()
            assert time.monotonic() - begun < timeout_s, self.logs()
            time.sleep(0.1)
        return time.monotonic() - begun

    def wait_until_over(self, timeout_s: float = 60) -> None:
        """Until it has ended by itself.

        Raises:
            AssertionError: it has not in time; with its log.
        """
        until = time.monotonic() + timeout_s
        while self.state()["Running"]:
            assert time.monotonic() < until, self.logs()
            time.sleep(0.2)

    def stop(self, within_s: int = 20) -> int:
        """SIGTERM, and SIGKILL after `within_s`; returns the exit code, 137 if it had to be killed."""
        run(self.engine.program, "stop", f"--time={within_s}", self.name)
        return int(str(self.state()["ExitCode"]))


def find() -> Engine | None:
    """The engine of this machine; None if there is none."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return Engine("docker")
    needed = ("buildah", "podman", "runc", "mmdebstrap")
    return Engine("podman") if all(shutil.which(program) for program in needed) else None
