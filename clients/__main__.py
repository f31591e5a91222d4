"""`python -m clients`: classify pictures, review texts and look at the models, from a shell.

Answers go to stdout, progress and problems to stderr. The exit code is 1 if any item failed, 2 if
the command itself made no sense.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from clients import plan as planning
from clients import rates, screen
from clients.client import Client, Outcome, Tls
from clients.closed_loop import run
from clients.grpc_client import GrpcClient
from clients.http_client import HttpClient
from clients.picture_paths import STDIN, expanded
from clients.sinks import Csv, JsonLines, OutputFile, PrettyTable, Sink, Tabbed
from serving.errors import NoCard, NotFound, PermissionDenied, ServingError, Unauthenticated, Unavailable

HOPELESS = (NoCard, NotFound, PermissionDenied, Unauthenticated)
"""What every other item would meet as well."""
MOST_IN_VAIN = 20
"""So many items in a row that found nobody to answer end the run."""

_CONNECTION = (
    click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The gateway."),
    click.option("--grpc", "target", metavar="HOST:PORT", help="Ask a model server over gRPC instead."),
    click.option("--model", help="Which model; else the first of the right task (over gRPC: `default`)."),
    click.option("--api-key", envvar="SLIPWAY_API_KEY", help="Sent as a bearer token."),
    click.option(
        "--ca", type=click.Path(exists=True, path_type=Path), help="PEM file of whom to trust; makes gRPC use TLS."
    ),
    click.option("--timeout", default=10.0, show_default=True, help="Seconds for one answer, with retries."),
)
_ASKING = (
    *_CONNECTION,
    click.option("--version", type=click.IntRange(min=1), help="Which version; else the newest."),
    click.option("--top", default=3, show_default=True, type=click.IntRange(1, 1000), help="Labels per answer."),
    click.option("--concurrency", default=8, show_default=True, type=click.IntRange(1, 256), help="Requests at once."),
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
    click.option("--csv", "as_csv", is_flag=True, help="Rows with a header."),
    click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there; skip what it holds."),
)


def _options(given: Iterable[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(list(given)):
            command = option(command)
        return command

    return decorate


@click.group()
def main() -> None:
    """Ask models: what is in a picture, what a text says, what is being served, and how fast."""


@main.command()
@click.argument("pictures", nargs=-1, required=True)
@_options(_ASKING)
def classify(pictures: tuple[str, ...], **given: Any) -> None:
    """Name what is in PICTURES: files, folders, quoted patterns ('photos/**/*.jpg'), or - for stdin."""
    items = expanded(pictures)

    def ask(client: Client, left: Sequence[str]) -> Iterable[Outcome]:
        loaded = (sys.stdin.buffer.read() if name == STDIN else Path(name) for name in left)
        return client.classify_each(loaded, given["model"], version=given["version"], top=given["top"])

    sys.exit(_run(items, ask, given))


@main.command()
@click.argument("texts", nargs=-1, required=True)
@_options(_ASKING)
def review(texts: tuple[str, ...], **given: Any) -> None:
    """Say what each of TEXTS is; - stands for the lines of stdin."""
    items = [line for text in texts for line in (_lines() if text == STDIN else [text])]

    def ask(client: Client, left: Sequence[str]) -> Iterable[Outcome]:
        return client.review_each(left, given["model"], version=given["version"], top=given["top"])

    sys.exit(_run(items, ask, given))


def _lines() -> list[str]:
    """Of stdin; only a line's end ends a line, whatever else str.splitlines() takes for one."""
    return [line.rstrip("\r\n") for line in sys.stdin]


@main.command()
@click.argument("pictures", nargs=-1)
@_options(_CONNECTION)
@click.option("--text", "texts", multiple=True, help="A text to ask about instead of pictures.")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(0.1, 3600), help="How long.")
@click.option("--callers", default=8, show_default=True, type=click.IntRange(1, 256), help="Callers at once.")
def bench(pictures: tuple[str, ...], texts: tuple[str, ...], seconds: float, callers: int, **given: Any) -> None:
    """Ask about PICTURES (or texts) again and again and show how long the answers take."""
    if not pictures and not texts:
        raise click.UsageError("give pictures to ask about, or --text TEXT")
    try:
        with _client(given | {"concurrency": callers}, attempts=1) as client:
            ask = _asked(client, given["model"], pictures, texts)
            with Live(auto_refresh=False, transient=True, console=Console(stderr=True)) as live:
                tally = run(ask, callers, seconds, lambda now: live.update(screen.tallied(now, callers), refresh=True))
        Console().print(screen.tallied(tally, callers))
        sys.exit(1 if tally.failures else 0)
    except ServingError as error:
        sys.exit(_refused(error))


def _asked(client: Client, model: str | None, pictures: Sequence[str], texts: Sequence[str]) -> Callable[[int], Any]:
    """Asks about the items in turn, one at a time."""
    if texts:
        return lambda number: client.review([texts[number % len(texts)]], model)
    files = [path.read_bytes() for path in map(Path, expanded(pictures)) if path.is_file()]
    if not files:
        raise NotFound(f"{', '.join(pictures)}: no picture there")
    return lambda number: client.classify([files[number % len(files)]], model)


@main.command()
@click.option("--photos-per-second", required=True, type=click.FloatRange(min=0, min_open=True), help="The load.")
@click.option("--p99", "p99_ms", required=True, type=click.FloatRange(min=0, min_open=True), help="Bound in ms.")
@click.option("--embedded", is_flag=True, help="Gateways with the model server inside, instead of two tiers.")
def plan(photos_per_second: float, p99_ms: float, embedded: bool) -> None:
    """Say how many gateways and model servers a load needs, from measured figures."""
    try:
        found = planning.plan(photos_per_second, p99_ms, planning.facts(), embedded=embedded)
        Console().print(screen.planned(found))
    except ServingError as error:
        sys.exit(_refused(error))


@main.command()
@_options(_CONNECTION)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--watch", is_flag=True, help="Look again until stopped.")
@click.option("--every", default=2.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds between looks.")
def status(as_json: bool, watch: bool, every: float, **given: Any) -> None:
    """Show the models, their versions and states."""
    try:
        with _client(given) as client:
            if watch and not as_json:
                _watch(client, given["model"], every)
            while True:
                _print_status(client, given["model"], as_json)
                if not watch:
                    return
                time.sleep(every)
    except ServingError as error:
        sys.exit(_refused(error))
    except KeyboardInterrupt:
        sys.exit(0)


def _client(given: dict[str, Any], attempts: int = 3) -> Client:
    settings = {"timeout_s": given["timeout"], "api_key": given["api_key"], "attempts": attempts}
    if given.get("concurrency"):
        settings["concurrency"] = given["concurrency"]
    tls = Tls(ca=given["ca"]) if given["ca"] else None
    if given["target"]:
        return GrpcClient(given["target"], tls=tls, **settings)
    return HttpClient(given["url"], tls=tls, **settings)


def _run(items: Sequence[str], ask: Callable[[Client, Sequence[str]], Iterable[Outcome]], given: dict[str, Any]) -> int:
    """Ask about all items and hand the answers on; the exit code."""
    try:
        sink = _sink(given)
        left = [item for item in items if not (isinstance(sink, OutputFile) and sink.holds(item))]
        if len(left) < len(items):
            print(f"{len(items) - len(left)} of {len(items)} are in {given['output']} already", file=sys.stderr)
        with _client(given) as client, closing(sink):
            return 1 if _hand_on(left, ask(client, left), sink) else 0
    except ServingError as error:
        return _refused(error)
    except KeyboardInterrupt:
        print("stopped; with --output the next run goes on from here", file=sys.stderr)
        return 130


def _hand_on(items: Sequence[str], outcomes: Iterable[Outcome], sink: Sink) -> int:
    """Print answers and problems as they come; how many items failed."""
    failed = in_vain = 0
    with screen.bar(len(items)) as progress:
        for item, outcome in zip(items, outcomes, strict=True):
            progress.advance(progress.task_ids[0])
            if not isinstance(outcome, ServingError):
                sink.add(item, outcome)
                in_vain = 0
                continue
            failed += 1
            in_vain = in_vain + 1 if isinstance(outcome, Unavailable) else 0
            screen.complain(progress, f"{item[:200]}: {outcome.message}")
            if isinstance(outcome, HOPELESS) or in_vain == MOST_IN_VAIN:
                screen.complain(progress, "stopped: the other items would meet the same")
                break
    return failed


def _sink(given: dict[str, Any]) -> Sink | OutputFile:
    if given["output"]:
        return OutputFile(given["output"], as_csv=given["as_csv"])
    if given["as_json"]:
        return JsonLines(sys.stdout)
    if given["as_csv"]:
        return Csv(sys.stdout)
    return PrettyTable(sys.stdout) if sys.stdout.isatty() else Tabbed(sys.stdout)


def _print_status(client: Client, model: str | None, as_json: bool) -> None:
    found = client.status(model)
    if as_json:
        for entry in found:
            print(json.dumps(asdict(entry), ensure_ascii=False), flush=True)
    else:
        Console().print(screen.states(found))


def _watch(client: Client, model: str | None, every_s: float) -> None:
    """Keep a table on the screen until Ctrl-C; a server that is away is said below it."""
    found = client.status(model)
    look: rates.Look | None = None
    with Live(screen.states(found), auto_refresh=False) as live:
        while True:
            note, now = time.strftime("%H:%M:%S"), None
            try:
                found, newer = client.status(model), _look(client)
                now = rates.between(look, newer) if look and newer else None
                look = newer
            except ServingError as error:
                note = f"{note} {error.message}"
            live.update(screen.states(found, note, now), refresh=True)
            time.sleep(every_s)


def _look(client: Client) -> rates.Look | None:
    """The counters of a gateway; over gRPC there are none."""
    return rates.read(client.metrics()) if isinstance(client, HttpClient) else None


def _refused(error: ServingError) -> int:
    print(f"clients: {error.message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main(prog_name="python -m clients")
