"""Other servers, each in an environment of its own that is made for it once, with batching switched on.

Each is written as its documentation recommends and does the same work: Pillow, then the SavedModel
in TensorFlow, of the release that trains here. One that cannot be installed or does not answer is
named with the reason and left out.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions, version
from pathlib import Path

from packaging.requirements import Requirement
from rich.progress import Progress

from tests.bench import environments
from tests.bench.contestants import Callers, Contestant, posts, served, silent
from tests.bench.models import newest
from tests.bench.ours import JPEG, JSON, PHOTOS, Env, Given
from tests.bench.servers import LOCAL
from tests.processes import CHECKOUT, free_port

BOUNDARY = "photo-photo-photo"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
_HERE = "tests.bench.peers"
LONGEST_INSTALL_S = 1200


@dataclass(frozen=True, slots=True)
class Peer:
    """How to install, start and ask one."""

    name: str
    packages: tuple[str, ...]
    command: Callable[[Path, str, int], Sequence[str]]
    """Given the environment's python, the model's folder and a port."""
    path: str
    kind: str
    body: Callable[[bytes], bytes]


def _same(photo: bytes) -> bytes:
    return photo


def _in_json(photo: bytes) -> bytes:
    return json.dumps({"image_data": base64.b64encode(photo).decode()}).encode()


def _in_form(photo: bytes) -> bytes:
    about = f'Content-Disposition: form-data; name="images"; filename="a.jpg"\r\nContent-Type: {JPEG}\r\n\r\n'
    return f"--{BOUNDARY}\r\n{about}".encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


PEERS = (
    Peer(
        "LitServe",
        ("litserve==0.2.19",),
        lambda python, model, port: [str(python), "-m", f"{_HERE}.litserve_server", model, str(port)],
        "/predict",
        JSON,
        _in_json,
    ),
    Peer(
        "mosec",
        ("mosec==0.9.8",),
        lambda python, _model, port: [str(python), "-m", f"{_HERE}.mosec_server", "--port", str(port)],
        "/inference",
        JPEG,
        _same,
    ),
    Peer(
        "BentoML",
        ("bentoml==1.4.35",),
        lambda python, _model, port: [
            *(str(python), "-m", "bentoml", "serve", f"{_HERE}.bentoml_server:Photos"),
            *("--host", LOCAL, "--port", str(port)),
        ],
        "/classify",
        FORM,
        _in_form,
    ),
    Peer(
        "Ray Serve",
        ("ray[serve]==2.60.0",),
        lambda python, model, port: [str(python), "-m", f"{_HERE}.ray_server", model, str(port)],
        "/",
        JPEG,
        _same,
    ),
)


def everybody(
    given: Given, folder: Path, progress: Progress, only: Sequence[str] = ()
) -> tuple[list[Contestant], dict[str, str]]:
    """The peers that could be installed, of those whose name has one of the words; and of the others why not."""
    found, left_out = [], {}
    wanted = [peer for peer in PEERS if not only or any(word in peer.name for word in only)]
    task = progress.add_task("environments", total=len(wanted))
    for peer in wanted:
        progress.update(task, description=f"installing {peer.name}")
        try:
            home = installed(peer, folder.absolute())
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            left_out[peer.name] = str(error)
        else:
            start = partial(served, partial(_started, peer, home, given))
            site = next(home.glob("lib/python3*/site-packages"))
            note = f"{_release(peer, site)}, batching on"
            found.append(Contestant(peer.name, "peer", start, partial(environments.folder_size_mb, site), note))
        progress.advance(task)
    return found, left_out


def _release(peer: Peer, site: Path) -> str:
    """What was installed, such as mosec 0.9.8."""
    name = Requirement(peer.packages[0]).name
    found = next(iter(distributions(name=name, path=[str(site)])), None)
    return f"{name} {found.version if found else 'of an unknown release'}"


def installed(peer: Peer, folder: Path) -> Path:
    """The peer's environment, made if it is not there yet.

    Raises:
        RuntimeError: it cannot be made; the end of what the installer said.
    """
    home = folder / peer.name.lower().replace(" ", "_")
    done = home / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, timeout=120)
        packages = [*peer.packages, f"tensorflow=={version('tensorflow')}", f"pillow=={version('pillow')}"]
        command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_INSTALL_S, check=False)
        if ended.returncode:
            raise RuntimeError(f"cannot be installed: {ended.stderr.strip()[-500:]}")
        done.touch()
    return home


def _started(peer: Peer, home: Path, given: Given, stack: ExitStack, env: Env) -> Callers:
    port, model = free_port(), str(newest(given.models, PHOTOS).absolute())
    more: Mapping[str, str] = {
        "MODEL": model,
        "PYTHONPATH": str(CHECKOUT),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # it listens on loopback alone, and would write a token into the home folder
        "RAY_raylet_start_wait_time_s": "120",
        "BENTOML_DO_NOT_TRACK": "1",
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
    }
    command = peer.command(home / "bin" / "python", model, port)
    stack.enter_context(silent(command, {**env, **more}))
    return posts(f"{LOCAL}:{port}", peer.path, peer.kind, [peer.body(photo) for photo in given.photos])
