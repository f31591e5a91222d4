"""The README's numbers: start-up, memory, and throughput of one client with 8 connections.

`make bench` runs this against the models of a folder; every figure is of this machine and this
run, and the server's CPU per request is the one to compare, since it does not depend on who else
uses the machine.
"""

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from clients.http_client import HttpClient
from serving.card import ImageInput, ModelCard
from serving.preprocess.image import to_pixels
from serving.wire import protos, tensors
from tests.bench.load import Ask, Figures, closed_loop, http_ask
from tests.processes import Slipway, resident_bytes, slipway

CONNECTIONS = 8
PREDICT = "/tensorflow.serving.PredictionService/Predict"


@click.command()
@click.option("--models", type=click.Path(exists=True, path_type=Path), required=True, help="Folder of models.")
@click.option("--photos", type=click.Path(exists=True, path_type=Path), required=True, help="Folder of JPEG files.")
@click.option("--reviews", type=click.Path(exists=True, path_type=Path), help="Text file, one review a line.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of each spell of load.")
@click.option("--starts", default=5, show_default=True, help="Starts to take the median of.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(models: Path, photos: Path, reviews: Path | None, seconds: float, starts: int, out: Path) -> None:
    """Measure a server on this machine and print the table of the README."""
    console = Console()
    figures: dict[str, Any] = {"machine": machine(), "start": start_up(models, starts)}
    pictures = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))[:400]]
    lines = [line.encode() for line in reviews.read_text().splitlines()] if reviews else [b"a lovely little film"]
    table = Table("what", "model", "requests/s", "p50 ms", "p99 ms", "server CPU ms", "failed", title=machine())
    with slipway(models, "--no-access-log") as server:
        for what, model, asks in spells(server, pictures, lines):
            with console.status(f"{what} {model} ..."):
                spell = closed_loop(asks, server.process.pid, seconds)
            figures[f"{what} {model}"] = summary(spell)
            table.add_row(what, model, *(f"{value:.4g}" for value in summary(spell).values()))
        figures["start"]["resident_after_load_mb"] = resident_bytes(server.process.pid) / 1e6
    console.print(table)
    for name, value in figures["start"].items():
        console.print(f"{name}: {value:.4g}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "numbers.json").write_text(json.dumps(figures, indent=1))


def machine() -> str:
    """Enough to know which machine a figure is of."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{len(os.sched_getaffinity(0))} cores, {model or platform.machine()}, Python {platform.python_version()}"


def start_up(models: Path, starts: int) -> dict[str, float]:
    """Seconds from process start to ready and resident megabytes then: medians."""
    ready, memory = [], []
    for _ in range(starts):
        with slipway(models) as server:
            ready.append(server.ready_s)
            memory.append(resident_bytes(server.process.pid) / 1e6)
    return {"ready_s": statistics.median(ready), "resident_mb": statistics.median(memory)}


def summary(spell: Figures) -> dict[str, float]:
    """The figures of a spell as a row."""
    return {
        "per_second": spell.per_second,
        "p50_ms": spell.percentile_ms(0.5),
        "p99_ms": spell.percentile_ms(0.99),
        "server_cpu_ms": spell.cpu_ms,
        "failed": spell.failed,
    }


def spells(
    server: Slipway, pictures: Sequence[bytes], reviews: Sequence[bytes]
) -> Sequence[tuple[str, str, Sequence[Ask]]]:
    """What to measure of every model that the server lists."""
    found: list[tuple[str, str, Sequence[Ask]]] = []
    with HttpClient(server.url) as client:
        cards = [client.card(model.name) for model in client.status()]
    for card in cards:
        path = f"/v1/models/{card.name}/classify"
        pictures_wanted = isinstance(card.input, ImageInput)
        kind, bodies = ("image/jpeg", pictures) if pictures_wanted else ("text/plain; charset=utf-8", reviews)
        found.append(("HTTP classify", card.name, _each(partial(http_ask, server.gateway, path, kind, bodies))))
        if pictures_wanted:
            found.append(("gRPC Predict", card.name, _each(partial(grpc_ask, server.grpc, card, pictures))))
    return found


def _each(make: Callable[[], Ask]) -> Sequence[Ask]:
    return [make() for _ in range(CONNECTIONS)]


def grpc_ask(target: str, card: ModelCard, pictures: Sequence[bytes]) -> Ask:
    """A channel of its own that predicts prepared pictures, one a call."""
    assert isinstance(card.input, ImageInput)
    options = [("grpc.use_local_subchannel_pool", 1)]
    call: Any = grpc.insecure_channel(target, options).unary_unary(PREDICT)
    requests = []
    for picture in pictures[:16]:
        request = protos.PredictRequest()
        request.model_spec.name = card.name
        pixels: Any = np.ascontiguousarray(to_pixels(picture, card.input)[None])
        request.inputs["image"].CopyFrom(tensors.to_proto(pixels, as_content=True))
        requests.append(request.SerializeToString())
    turn = iter(range(1 << 60))

    def ask() -> None:
        try:
            call(requests[next(turn) % len(requests)], timeout=30)
        except grpc.RpcError as error:
            raise RuntimeError(str(error)) from error

    return ask


if __name__ == "__main__":
    main()
