"""Who is measured: the limit, this project in every form, what a user would build instead, and peers.

A contestant is started once and stays; between its turns it waits. Every server is a tree of
processes, marked so that its CPU and memory can be told from all others'.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench.asks import Caller, calling, posting
from tests.bench.load import closed_spell
from tests.bench.loops import Loop
from tests.bench.open_loop import open_loop
from tests.bench.process_tree import Tree, peak_mb
from tests.processes import CHECKOUT, end_group

CALLERS = 8
AT_HALF = 24
"""Connections of the spell at half of saturation."""
WARM_UP_S = 0.7

Figures = dict[str, float]
Callers = Callable[[int], Sequence[Caller]]
"""So many of them, ready to ask."""


@dataclass(slots=True)
class Running:
    """A contestant that has been started and answers."""

    spell: Callable[[float], Figures]
    """Work as hard as it goes for so many seconds: per_second, cpu_ms, failed."""
    at: Callable[[float, float], Figures] | None
    """Requests at so many a second for so many seconds: p50_ms, p99_ms, refused; None for a loop."""
    peak_mb: Callable[[], float]
    ready_s: float = float("nan")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table."""

    name: str
    group: str
    """limit, ours, instead or peer."""
    start: Callable[[], AbstractContextManager[Running]]
    disk_mb: Callable[[], float] | None = None
    """Size of the packages that it needs."""
    note: str = ""
    what: str = field(default="photo")
    """What one request carries."""


@contextmanager
def looping(kind: str, size: int, *arguments: Path) -> Iterator[Running]:
    """A tight loop on so many threads."""
    begun = time.monotonic()
    with Loop(kind, *arguments) as loop:
        ready_s = time.monotonic() - begun
        yield Running(lambda seconds: loop.spell(seconds, size), None, lambda: peak_mb(loop.process.pid), ready_s)


@contextmanager
def served(start: Callable[[ExitStack, Mapping[str, str]], Callers]) -> Iterator[Running]:
    """A server; `start` gives the environment to its processes and says how to ask it."""
    tree, begun = Tree(), time.monotonic()
    with ExitStack() as stack:
        callers = start(stack, tree.environment)
        _until_answered(callers)
        ready_s = time.monotonic() - begun
        yield Running(partial(_saturate, callers, tree), partial(_offer, callers), tree.peak_mb, ready_s)


@contextmanager
def silent(command: Sequence[str], env: Mapping[str, str]) -> Iterator[None]:
    """A server that does not say when it is ready; whoever asks it waits for the first answer."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env={**os.environ, **env}, stdout=said, stderr=said, start_new_session=True
        )
        try:
            yield
        except RuntimeError as error:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command[:4])}: {error}\n{said.read()[-2000:]}") from error
        finally:
            end_group(process)


def posts(address: str, path: str, kind: str, sent: Sequence[bytes]) -> Callers:
    """Over HTTP, as many as are wanted."""
    return partial(posting, address, path, kind, sent)


def _until_answered(callers: Callers, within_s: float = 120.0) -> None:
    """Ask until the first answer."""
    give_up = time.monotonic() + within_s
    with calling(callers(1)) as (ask,):
        while True:
            try:
                ask()
                return
            except (OSError, RuntimeError) as error:
                if time.monotonic() > give_up:
                    raise RuntimeError(f"no answer within {within_s:g} s: {error}") from error
                time.sleep(0.05)


def _saturate(callers: Callers, tree: Tree, seconds: float) -> Figures:
    """Eight callers who never pause."""
    with calling(callers(CALLERS)) as eight:
        closed_spell(eight, WARM_UP_S)
        found = closed_spell(eight, seconds, tree.cpu_s)
    return {"per_second": found.per_second, "cpu_ms": found.cpu_ms, "failed": found.failed}


def _offer(callers: Callers, per_second: float, seconds: float) -> Figures:
    with calling(callers(AT_HALF)) as enough:
        row = open_loop(enough, per_second, seconds).row()
    return {"p50_ms": row["p50_ms"], "p99_ms": row["p99_ms"], "refused": row["failed"]}
