"""Publish version after version under steady load: no request may fail, memory and latency must hold.

    python -m tests.bench.swaps                            # 100 swaps in 10 minutes
    python -m tests.bench.swaps --swaps 10 --seconds 60    # a quick look

The model server follows a folder. Versions appear in it by one rename each and are deleted when their
successor answers, while gRPC and REST requests come at half the rate that saturates the server. The load
generator runs at lower priority (nice 10), so that it does not take from the server what loading needs.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from serving import repository
from serving.modelserver.lifecycle import tfrecord
from serving.wire import protos, tensors
from tests.bench import bodies
from tests.bench.asks import Caller, GrpcAsk, HttpAsk, calling, rest_bodies
from tests.bench.load import Answered, Paced, closed_loop, quantile_ms
from tests.bench.models import SIDE, made, newest
from tests.bench.rounds import Check, machine, save, verdicts
from tests.bench.servers import Server, modelserver
from tests.processes import exit_when_told

MODEL = "pictures"
LOWER_PRIORITY = 10
AVAILABLE = 30
SWAP_S = 120.0
"""Longest that a swap may take."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One version in place of another; times by time.monotonic()."""

    published_s: float
    available_s: float
    """The new version answers."""
    over_s: float
    """The old one is gone."""
    resident_mb: float


@click.command()
@click.option("--swaps", default=100, show_default=True, help="Versions published after the first.")
@click.option("--seconds", default=600.0, show_default=True, help="Length of it all.")
@click.option("--share", default=0.5, show_default=True, help="Load, as a share of what saturates the server.")
@click.option("--connections", default=8, show_default=True, help="Half of them gRPC, half REST.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(swaps: int, seconds: float, share: float, connections: int, out: Path) -> None:
    """Measure, print the tables, keep the raw figures."""
    exit_when_told()
    console = Console(width=150)
    plain = newest(made(out / "models"), MODEL)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        models = Path(folder, "models")
        template = with_warm_up(plain, Path(folder, "template"))
        publish(template, models / MODEL, 1)
        with modelserver(models, (MODEL,)) as server:
            os.nice(LOWER_PRIORITY)
            with calling(callers(server, connections)) as asks:
                rate = closed_loop(asks, server.pid, 5.0).per_second
                load = Paced(asks, share * rate)
                try:
                    done = swapped(server, template, models / MODEL, swaps, seconds)
                finally:
                    answers = load.stop()
    figures = summary(answers, done)
    console.print(_table(figures, rate, share))
    console.print(verdicts(checks(figures)))
    save(out, "swaps", {"figures": figures, "swaps": [asdict(swap) for swap in done], "saturated_per_second": rate})


def callers(server: Server, connections: int) -> Sequence[Caller]:
    """Half ask gRPC Predict with pixels, half REST predict with JPEG files."""
    pictures = np.random.default_rng(2).integers(0, 256, (8, 1, SIDE, SIDE, 3), np.uint8)
    json = rest_bodies(bodies.photos(None))
    path = f"/v1/models/{MODEL}:predict"
    half = max(1, connections // 2)
    return [
        *(GrpcAsk(server.grpc, MODEL, list(pictures)) for _ in range(half)),
        *(HttpAsk(server.rest, path, "application/json", json) for _ in range(half)),
    ]


def with_warm_up(version: Path, copy: Path) -> Path:
    """The version with the warm-up requests that training gives every version it publishes."""
    shutil.copytree(version, copy, copy_function=os.link)
    logs = []
    picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    files = np.array(bodies.photos(None)[:1], np.object_)
    for signature, alias, array in (
        ("serving_default", "image", picture),
        ("serving_default", "image", np.repeat(picture, 4, axis=0)),
        ("encoded", "image_bytes", files),
    ):
        log = protos.PredictionLog()
        log.predict_log.request.model_spec.signature_name = signature
        log.predict_log.request.inputs[alias].CopyFrom(tensors.to_proto(array))
        logs.append(log.SerializeToString())
    tfrecord.write(copy / repository.WARMUP_FILE, logs)
    card = repository.read_card(copy)
    if card is not None:
        (copy / repository.CARD_FILE).unlink()  # a link: the original keeps its own
        (copy / repository.CARD_FILE).write_text(replace(card, files=repository.checksums(copy)).to_json())
    return copy


def publish(template: Path, model: Path, version: int) -> None:
    """A whole version, by one rename. Its files are links: publishing must not wait for the disk."""
    aside = model / f".{version}.tmp"
    shutil.copytree(template, aside, copy_function=os.link)
    aside.rename(model / str(version))


def swapped(server: Server, template: Path, model: Path, swaps: int, seconds: float) -> list[Swap]:
    """Publish versions 2 and on, evenly spread over the time; each old folder is deleted once it is not served."""
    done: list[Swap] = []
    begun = time.monotonic()
    with grpc.insecure_channel(server.grpc) as channel, Progress(console=Console(stderr=True)) as progress:
        states = States(channel)
        for version in progress.track(range(2, swaps + 2), description="swaps"):
            due = begun + seconds * (version - 1.5) / swaps
            time.sleep(max(0.0, due - time.monotonic()))
            published = time.monotonic()
            publish(template, model, version)
            available = states.wait(version, AVAILABLE)
            over = states.wait(version - 1, None)
            shutil.rmtree(model / str(version - 1))
            done.append(Swap(published, available, over, server.resident_mb))
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
    return done


class States:
    """What GetModelStatus says of the model."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._call: Any = channel.unary_unary(
            "/tensorflow.serving.ModelService/GetModelStatus",
            request_serializer=protos.GetModelStatusRequest.SerializeToString,
            response_deserializer=protos.GetModelStatusResponse.FromString,
        )
        self._request = protos.GetModelStatusRequest()
        self._request.model_spec.name = MODEL

    def wait(self, version: int, state: int | None) -> float:
        """When a version was first seen in a state; None: in none of those before its end."""
        until = time.monotonic() + SWAP_S
        while time.monotonic() < until:
            found = {entry.version: entry.state for entry in self._call(self._request, timeout=10).model_version_status}
            if found.get(version) == state or (state is None and found.get(version, 50) == 50):
                return time.monotonic()
            time.sleep(0.05)
        raise RuntimeError(f"version {version} did not reach state {state} within {SWAP_S:g} s: {found}")


def summary(answers: Sequence[Answered], swaps: Sequence[Swap]) -> dict[str, Any]:
    """Failures, latencies during swaps and outside of them, memory."""
    starts = np.array([answer.started_s for answer in answers])
    took = np.array([answer.took_s for answer in answers])
    during = np.zeros(len(answers), bool)
    for swap in swaps:
        during |= (starts + took >= swap.published_s) & (starts <= swap.over_s)
    good = np.array([not answer.failure for answer in answers])
    failures = [answer.failure for answer in answers if answer.failure]
    return {
        "requests": len(answers),
        "failed": len(failures),
        "failures": failures[:20],
        "during": int(during.sum()),
        "p50_outside_ms": quantile_ms(took[good & ~during], 0.5),
        "p99_outside_ms": quantile_ms(took[good & ~during], 0.99),
        "p50_during_ms": quantile_ms(took[good & during], 0.5),
        "p99_during_ms": quantile_ms(took[good & during], 0.99),
        "swap_s": float(np.median([swap.available_s - swap.published_s for swap in swaps])),
        "resident_after_10_mb": swaps[min(9, len(swaps) - 1)].resident_mb,
        "resident_at_end_mb": swaps[-1].resident_mb,
        "resident_highest_mb": max(swap.resident_mb for swap in swaps),
    }


def _table(figures: dict[str, Any], rate: float, share: float) -> Table:
    table = Table("figure", "value", title=f"{machine()}; load {share * rate:.0f}/s of {rate:.0f}/s")
    for name, value in figures.items():
        table.add_row(name, f"{value:.5g}" if isinstance(value, float | int) else "\n".join(value))
    return table


def checks(figures: dict[str, Any]) -> list[Check]:
    """What the figures come to."""
    return [
        ("failed requests", figures["failed"], "<=", 0),
        ("p99 during a swap / outside", figures["p99_during_ms"] / figures["p99_outside_ms"], "<=", 2.0),
        ("memory at the end / after 10", figures["resident_at_end_mb"] / figures["resident_after_10_mb"], "<=", 1.1),
    ]


if __name__ == "__main__":
    main()
