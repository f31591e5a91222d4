"""Start a server again and again on a busy machine, ask it at once, end it: does it ever hang?

    python -m tests.bench.starts --starts 60                   # the model server alone
    python -m tests.bench.starts --starts 60 --what serving    # gateway and model server in one process

While it starts, other processes keep every core busy. The first requests stand before the door and come
together the moment that the port opens. Every third server is told to end while it is still starting, every third
with requests under way, the rest when it is idle. A server that hangs is looked into with py-spy, if that is
on the PATH, and killed; the command then fails.
"""

import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import bodies
from tests.bench.asks import Caller, GrpcAsk, HttpAsk, rest_bodies
from tests.bench.models import SIDE, made
from tests.bench.rounds import machine, save
from tests.processes import CHECKOUT, exit_when_told, free_port

Ending = Literal["idle", "busy", "early"]
ENDINGS: tuple[Ending, ...] = ("idle", "busy", "early")
LOCAL = "127.0.0.1"
MODEL = "pictures"
READY_S, ANSWER_S, END_S = 120.0, 60.0, 60.0
"""Past these it counts as hung; they are long, since the cores are shared with those who keep them busy."""
_BUSY = "while True: sum(range(100000))"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one server is to listen."""

    grpc: int = field(default_factory=free_port)
    rest: int = field(default_factory=free_port)
    gateway: int = field(default_factory=free_port)


@dataclass(slots=True)
class Start:
    """One life of a server."""

    ending: Ending
    ready_s: float = float("nan")
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    end_s: float = float("nan")
    code: int | None = None
    hung: str = ""
    """At what, if it did."""

    @property
    def good(self) -> bool:
        """Nothing hung, nothing failed, and it said so; only one that had hardly begun may end by the signal itself."""
        fine = (0, -signal.SIGTERM) if self.ending == "early" else (0,)
        return not self.hung and not self.failed and self.code in fine


@click.command()
@click.option("--starts", default=60, show_default=True, help="Servers to start, one after the other.")
@click.option("--what", default="modelserver", show_default=True, type=click.Choice(["modelserver", "serving"]))
@click.option("--callers", default=8, show_default=True, help="First requests, all at once.")
@click.option("--busy", default=2, show_default=True, help="Processes that keep the cores busy.")
@click.option("--seed", default=1, show_default=True, help="Of the moments at which servers are told to end early.")
@click.option("--models", type=click.Path(path_type=Path), help="Folder with the model `pictures`.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(starts: int, what: str, callers: int, busy: int, seed: int, models: Path | None, out: Path) -> None:
    """Start, ask, end; print the counts; fail if any server did not do its part."""
    exit_when_told()
    folder = (models or made(out / "models")).absolute()
    chance, photos, done = random.Random(seed), bodies.photos(None), list[Start]()
    with busy_cores(busy), Progress(console=Console(stderr=True)) as progress, tempfile.TemporaryDirectory() as logs:
        for number in progress.track(range(starts), description=what):
            ports, early_s = Ports(), chance.uniform(0.1, 2.5)
            asks = knocking(what, ports, photos, callers)
            log = Path(logs, f"{number}.log")
            done.append(lived(command(what, folder, ports), asks, ENDINGS[number % 3], early_s, log))
            if not done[-1].good:
                progress.console.print(f"{done[-1]}\n{log.read_text()[-2000:]}")
    Console(width=120).print(table(what, done, busy))
    save(out, f"starts-{what}", {"starts": [asdict(one) for one in done]})
    sys.exit(0 if all(one.good for one in done) else 1)


def command(what: str, models: Path, ports: Ports) -> list[str]:
    """How the server is started."""
    python = [sys.executable, "-m"]
    if what == "serving":
        options = {"http": ports.gateway, "grpc": ports.grpc, "rest": ports.rest}
        return [*python, "serving", f"--models={models}", *(f"--{name}-port={port}" for name, port in options.items())]
    options = {"port": ports.grpc, "rest_api_port": ports.rest}
    model = [f"--model_name={MODEL}", f"--model_base_path={models / MODEL}", f"--bind_address={LOCAL}"]
    return [*python, "serving.modelserver", *model, *(f"--{name}={port}" for name, port in options.items())]


def knocking(what: str, ports: Ports, photos: Sequence[bytes], callers: int) -> Mapping[Caller, int]:
    """Requests not yet sent, each on a connection of its own, with the port that it goes to."""
    pixels = np.random.default_rng(2).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    json, path = rest_bodies(photos[:callers]), f"/v1/models/{MODEL}:predict"
    doors = ["grpc", "rest", *(["gateway"] if what == "serving" else [])]
    asks: dict[Caller, int] = {}
    for number in range(callers):
        door = doors[number % len(doors)]
        port = int(getattr(ports, door))
        address = f"{LOCAL}:{port}"
        if door == "grpc":
            asks[GrpcAsk(address, MODEL, [pixels])] = port
        elif door == "rest":
            asks[HttpAsk(address, path, "application/json", [json[number % len(json)]])] = port
        else:
            asks[HttpAsk(address, f"/v1/models/{MODEL}/classify", "image/jpeg", [photos[number]])] = port
    return asks


def lived(
    line: Sequence[str],
    asks: Mapping[Caller, int],
    ending: Ending,
    early_s: float,
    log: Path,
) -> Start:
    """One server from its start to its end."""
    found, begun = Start(ending), time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(line, cwd=CHECKOUT, stdout=out, stderr=subprocess.STDOUT)
    try:
        if ending == "early":
            time.sleep(early_s)
        else:
            found.ready_s = _first_burst(process, asks, found) - begun
            if ending == "busy" and not found.hung and process.poll() is None:
                _rush(asks)
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            found.code = process.wait(END_S)
            found.end_s = time.monotonic() - told
        if found.code is None:
            _look_into(process, found, "its end")
    finally:
        process.kill()
        process.wait()
        for ask in asks:
            ask.close()
    return found


def _first_burst(process: "subprocess.Popen[bytes]", asks: Mapping[Caller, int], found: Start) -> float:
    """Let everybody in when the doors open; when that was."""
    until = time.monotonic() + READY_S
    while not all(_is_open(port) for port in set(asks.values())):
        if time.monotonic() > until or process.poll() is not None:
            _look_into(process, found, "its start")
            return time.monotonic()
        time.sleep(0.005)
    opened = time.monotonic()
    lock = threading.Lock()

    def ask_once(ask: Caller) -> None:
        failure = ""
        try:
            ask()
        except (OSError, RuntimeError) as error:
            failure = str(error)[:300]
        with lock:
            found.failed += [failure] if failure else []
            found.answered += not failure

    threads = [threading.Thread(target=ask_once, args=(ask,), daemon=True) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, opened + ANSWER_S - time.monotonic()))
    if found.answered + len(found.failed) < len(asks):
        _look_into(process, found, "its first answers")
    return opened


def _rush(asks: Mapping[Caller, int]) -> None:
    """Requests on their way; nobody looks at what becomes of them."""

    def ask_until_it_ends(ask: Caller) -> None:
        with suppress(OSError, RuntimeError):
            while True:
                ask()

    for ask in asks:
        threading.Thread(target=ask_until_it_ends, args=(ask,), daemon=True).start()
    time.sleep(0.2)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOCAL, port)) == 0


def _look_into(process: "subprocess.Popen[bytes]", found: Start, what: str) -> None:
    """Remember at what it hangs, and print where its threads stand; one that has ended did not hang."""
    if process.poll() is not None:
        found.failed.append(f"{what}: it ended by itself, or was told to by somebody else; its log says which")
        return
    found.hung = what
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["py-spy", "dump", "--pid", str(process.pid)], stdout=sys.stderr, timeout=60, check=False)


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Processes that do nothing but compute."""
    others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def table(what: str, done: Sequence[Start], busy: int) -> Table:
    """One row for each way to end."""
    columns = ("starts", "hung", "not as it should", "answered", "failed", "ready s, median / most", "end s")
    made = Table("told to end", *columns, title=f"{what}: {machine()}; {busy} busy processes beside it")
    for ending in ENDINGS:
        lives = [one for one in done if one.ending == ending]
        hung, bad = sum(bool(one.hung) for one in lives), sum(not one.good for one in lives)
        answered, failed = sum(one.answered for one in lives), sum(len(one.failed) for one in lives)
        ready, end = [one.ready_s for one in lives], [one.end_s for one in lives]
        cells = [str(len(lives)), str(hung), str(bad), str(answered), str(failed), _spread(ready), _spread(end)]
        made.add_row(ending, *cells)
    return made


def _spread(seconds: Sequence[float]) -> str:
    known = [value for value in seconds if value == value]
    return f"{statistics.median(known):.2f} / {max(known):.2f}" if known else ""


if __name__ == "__main__":
    main()
