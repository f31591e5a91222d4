"""The README's numbers: start-up, memory, and throughput of one client with 8 connections.

`make bench` runs this against the models of a folder; every figure is of this machine and this
run, and the server's CPU per request is the one to compare, since it does not depend on who else
uses the machine.
"""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from clients.http_client import HttpClient
from serving.card import ImageInput
from serving.preprocess.image import to_pixels
from tests.bench import bodies
from tests.bench.asks import Ask, GrpcAsk, HttpAsk
from tests.bench.load import closed_loop
from tests.bench.rounds import machine, save
from tests.processes import Slipway, resident_bytes, slipway

CONNECTIONS = 8


@click.command()
@click.option("--models", type=click.Path(exists=True, path_type=Path), required=True, help="Folder of models.")
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="Folder of JPEG files; else drawn ones.")
@click.option("--reviews", type=click.Path(exists=True, path_type=Path), help="aclImdb_v1.tar.gz; else drawn ones.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of each spell of load.")
@click.option("--starts", default=5, show_default=True, help="Starts to take the median of.")
@click.option("--out", default="build/bench", show_default=True, type=click.Path(path_type=Path), help="Raw figures.")
def main(models: Path, photos: Path | None, reviews: Path | None, seconds: float, starts: int, out: Path) -> None:
    """Measure a server on this machine and print the table of the README."""
    console = Console()
    figures: dict[str, Any] = {"start": start_up(models, starts)}
    pictures, lines = bodies.photos(photos), bodies.reviews(reviews)
    table = Table("what", "model", "requests/s", "p50 ms", "p99 ms", "server CPU ms", "failed", title=machine())
    with slipway(models, "--no-access-log") as server:
        for what, model, asks in spells(server, pictures, lines):
            with console.status(f"{what} {model} ..."):
                spell = closed_loop(asks, server.process.pid, seconds)
            figures[f"{what} {model}"] = spell.row()
            table.add_row(what, model, *(f"{value:.4g}" for value in spell.row().values()))
        figures["start"]["resident_after_load_mb"] = resident_bytes(server.process.pid) / 1e6
    console.print(table)
    for name, value in figures["start"].items():
        console.print(f"{name}: {value:.4g}")
    save(out, "numbers", figures)


def start_up(models: Path, starts: int) -> dict[str, float]:
    """Seconds from process start to ready and resident megabytes then: medians."""
    ready, memory = [], []
    for _ in range(starts):
        with slipway(models) as server:
            ready.append(server.ready_s)
            memory.append(resident_bytes(server.process.pid) / 1e6)
    return {"ready_s": statistics.median(ready), "resident_mb": statistics.median(memory)}


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
        found.append(("HTTP classify", card.name, _each(partial(HttpAsk, server.gateway, path, kind, bodies))))
        if isinstance(card.input, ImageInput):
            arrays = [to_pixels(picture, card.input)[None] for picture in pictures[:16]]
            found.append(("gRPC Predict", card.name, _each(partial(GrpcAsk, server.grpc, card.name, arrays))))
    return found


def _each(make: Callable[[], Ask]) -> Sequence[Ask]:
    return [make() for _ in range(CONNECTIONS)]


if __name__ == "__main__":
    main()
