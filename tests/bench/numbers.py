"""The result of `make bench` for people: a table, a picture, the README, and the facts for `clients plan`.

python -m tests.bench.numbers          # `make numbers`: README.md, docs/bench.svg and clients/facts.json
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from tests.bench import pictures
from tests.processes import CHECKOUT

BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"
COLUMNS = {
    "cpu_ms": "CPU ms",
    "per_second": "requests/s",
    "p50_ms": "p50 ms at half",
    "p99_ms": "p99 ms at half",
    "peak_mb": "peak MB",
    "ready_s": "ready s",
    "disk_mb": "disk MB",
}
EMBEDDED = "gateway, embedded, "
"""With the precision; the first such row is what the server chooses by itself."""
SPLIT, PREDICT, REVIEWS = "gateway in front of the model server", "model server, gRPC", "gateway, reviews"
LOOP, PLAIN = "decode + resize + model, loop on all cores", "Flask + TensorFlow"


@click.command()
@click.option("--out", default="build/bench", show_default=True, type=click.Path(exists=True, path_type=Path))
@click.option("--readme", default=CHECKOUT / "README.md", type=click.Path(exists=True, path_type=Path))
@click.option("--facts", default=CHECKOUT / "clients" / "facts.json", type=click.Path(path_type=Path))
@click.option("--docs", default=CHECKOUT / "docs", type=click.Path(exists=True, path_type=Path))
def main(out: Path, readme: Path, facts: Path, docs: Path) -> None:
    """Write what the last run found to where people and programs look for it."""
    document = read(out)
    readme.write_text(placed(readme.read_text(), markdown(document)))
    (docs / "bench.svg").write_bytes((out / "bench.svg").read_bytes())
    click.echo(f"{readme} and {docs / 'bench.svg'} are of {document['when']}", err=True)
    try:
        facts.write_text(json.dumps(facts_of(document), indent=1) + "\n")
    except KeyError as error:
        raise click.ClickException(f"{facts} was left as it is, since the run has no row {error}") from error


def read(out: Path) -> dict[str, Any]:
    """The raw figures of the last run."""
    found: dict[str, Any] = json.loads((out / "bench.json").read_text())
    return found


def draw(out: Path) -> None:
    """The CPU of a photo as bars, bench.svg and bench.png."""
    document = read(out)
    rows = [row for row in document["rows"] if row["what"] == "photo" and "cpu_ms" in row["samples"]]
    values = {
        row["name"]: (row["medians"]["cpu_ms"], min(row["samples"]["cpu_ms"]), max(row["samples"]["cpu_ms"]))
        for row in rows
    }
    ours = frozenset(row["name"] for row in rows if row["group"] == "ours")
    title = f"CPU of one photo, MobileNetV2 160 px; {document['machine']}"
    pictures.save(pictures.bars(values, title, "milliseconds of one core, median and spread", ours), out, "bench")


def table(document: Mapping[str, Any]) -> Table:
    """For the terminal: medians, and the spread of the CPU."""
    shown = Table("what", *COLUMNS.values(), title=document["machine"])
    for row in document["rows"]:
        shown.add_row(row["name"], *(_cell(row, name) for name in COLUMNS))
    return shown


def markdown(document: Mapping[str, Any]) -> str:
    """For the README: the machine, the table, and what it comes to."""
    lines = [
        f"Measured by `make bench` on {document['machine']}, {document['when'][:10]}; medians of {document['rounds']}",
        "rounds in turns, lowest and highest in brackets; eight connections on the same cores, MobileNetV2 at 160 px,",
        "one photo or review a request. CPU is that of the server's whole process tree and the figure to compare.",
        "",
        f"| what | {' | '.join(COLUMNS.values())} |",
        "| --- |" + " --- |" * len(COLUMNS),
    ]
    lines += [f"| {row['name']} | {' | '.join(_cell(row, name) for name in COLUMNS)} |" for row in document["rows"]]
    lines += ["", "![CPU of one photo](docs/bench.svg)", "", *_ratios(document)]
    lines += [f"Left out: {name} ({why.splitlines()[0]})." for name, why in document["left_out"].items()]
    return "\n".join(lines).rstrip()


def placed(readme: str, block: str) -> str:
    """The README with the block between its marks.

    Raises:
        ValueError: the marks are not there, each once.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"the README needs one line {BEGIN} and one line {END}")
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}"


def facts_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `python -m clients plan` reckons with."""
    cpu = {row["name"]: row["medians"]["cpu_ms"] for row in document["rows"]}
    memory = {row["name"]: row["medians"]["peak_mb"] for row in document["rows"]}
    usual = _usual(document)
    gateway_ms = cpu[SPLIT] - cpu[PREDICT]
    return {
        "machine": document["machine"],
        "when": document["when"],
        "model": f"MobileNetV2, 160 px, {usual.removeprefix(EMBEDDED)}",
        "gateway_cpu_ms": round(gateway_ms, 3),
        "modelserver_cpu_ms": round(cpu[PREDICT], 3),
        "embedded_cpu_ms": round(cpu[usual], 3),
        "review_cpu_ms": round(cpu[REVIEWS], 3),
        "embedded_peak_mb": round(memory[usual]),
        "split_peak_mb": round(memory[SPLIT]),
    }


def _ratios(document: Mapping[str, Any]) -> list[str]:
    cpu = {row["name"]: row["medians"]["cpu_ms"] for row in document["rows"]}
    usual = _usual(document)
    found = []
    if usual in cpu and LOOP in cpu:
        found.append(f"A photo costs {cpu[usual] / cpu[LOOP]:.2f} times the bare work.")
    rivals = {row["name"]: cpu[row["name"]] for row in document["rows"] if row["group"] in {"instead", "peer"}}
    if usual in cpu and rivals:
        said = ", ".join(f"{name} {value / cpu[usual]:.1f} times" for name, value in rivals.items())
        found.append(f"The others take so much of the CPU of `{usual}`: {said}.")
    return found


def _usual(document: Mapping[str, Any]) -> str:
    """The name of the row of the embedded server as it comes."""
    return next((row["name"] for row in document["rows"] if row["name"].startswith(EMBEDDED)), "")


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row["medians"].get(name)
    if value is None or not math.isfinite(value):
        return ""
    samples = row["samples"].get(name, [])
    spread = f" ({min(samples):.3g}-{max(samples):.3g})" if name == "cpu_ms" and len(samples) > 1 else ""
    return (f"{value:,.0f}" if value >= 100 else f"{value:.3g}") + spread


if __name__ == "__main__":
    main()
