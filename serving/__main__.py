"""`python -m serving`: gateway, gRPC and REST in one process, serving every model of a folder.

The gateway calls the model server in process (`embedded.py`). Each of the two also runs alone:
`python -m serving.gateway` and `python -m serving.modelserver`.
"""

import gc
import json
import logging
import os
import sys
import time
from pathlib import Path

import click

from serving import environment
from serving.card import ModelCard, TableInput, TextInput
from serving.embedded import EmbeddedUpstream
from serving.errors import BadInput, NoCard, NotFound, ServingError
from serving.gateway.config import GatewayConfig
from serving.gateway.server import Gateway, is_loopback
from serving.memory import share_arenas
from serving.modelserver.runtimes import machine
from serving.modelserver.runtimes.protocol import Precision, RuntimeOptions
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from serving.placement import keep_together
from serving.signals import Signals

log = logging.getLogger("serving")

CALM_LATENCY_S = 0.02
"""See GatewayConfig: what waits for a core beyond this makes the others dearer and nobody faster."""
_OPEN = "the gRPC and REST ports listen on %s and take no keys: whoever reaches this address may ask the models"
_PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--models", default="models", show_default=True, type=click.Path(path_type=Path), help="Models folder.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that all three ports listen on.")
@click.option("--http-port", default=8080, show_default=True, type=_PORT, help="Gateway; 0 lets the system choose.")
@click.option("--grpc-port", default=8500, show_default=True, type=_PORT, help="gRPC; 0 lets the system choose.")
@click.option("--rest-port", default=8501, show_default=True, type=_PORT, help="REST; 0 lets the system choose.")
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "f32", "bf16", "int8"]))
@click.option("--streams", default=0, help="Runs that OpenVINO computes side by side; 0: from the machine.")
@click.option("--threads", default=0, help="Threads that OpenVINO computes with; 0: from the machine.")
@click.option("--access-log/--no-access-log", default=True, show_default=True, help="One JSON line a request.")
@click.option("--example-photo", default="photo.jpg", help="The picture that the printed examples post.")
def main(
    models: Path,
    host: str,
    http_port: int,
    grpc_port: int,
    rest_port: int,
    precision: Precision,
    streams: int,
    threads: int,
    access_log: bool,
    example_photo: str,
) -> None:
    """Serve every model of a folder; models and versions that come later are picked up.

    The gateway's other settings are taken from the environment, as GATEWAY_<NAME>; see
    `python -m serving.gateway --help`.
    """
    started = time.monotonic()
    share_arenas()
    environment.settle()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("serving").setLevel(logging.WARNING)
    code = 2
    try:
        if not models.is_dir():
            raise BadInput(f"there is no folder {models}; make one with: python -m training train shapes_cnn")
        config = ServerConfig(
            models_root=models.absolute(),
            bind_address=host,
            grpc_port=grpc_port,
            rest_port=rest_port,
            runtime=RuntimeOptions(precision=precision, streams=streams, threads=threads),
        )
        gateway_config = GatewayConfig.from_env(usual=usual(), host=host, port=http_port, access_log=access_log)
        code = serve(config, gateway_config, example_photo, started)
    except ServingError as error:
        click.echo(f"serving: {error.message}", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that is held by a request past its grace must not keep the process


def usual() -> dict[str, int | float]:
    """Settings of the gateway that fit models on its own cores.

    For each run at a time two requests that share it, two that are decoded meanwhile.
    """
    busy = 4 * machine.streams(machine.cores())
    return {"min_in_flight": busy, "work_threads": busy, "calm_latency_s": CALM_LATENCY_S}


def serve(config: ServerConfig, gateway_config: GatewayConfig, example_photo: str, started: float) -> int:
    """Run until told to stop; then all three ports drain side by side. Returns the exit code."""
    if not is_loopback(config.bind_address):
        log.warning(_OPEN, config.bind_address)
    Signals(lambda: os._exit(0))  # while the models load there is nothing to drain; Gateway.run takes over from here
    with ModelServer(config) as server:
        upstream = EmbeddedUpstream(server.manager)
        gateway = Gateway(gateway_config, upstream)

        def announce() -> None:
            gc.collect()
            gc.freeze()  # what was loaded at start stays: collections need not walk it at every request
            keep_together()
            for line in welcome(upstream, server, gateway, example_photo):
                click.echo(line)
            click.echo(f"Ready after {time.monotonic() - started:.1f} s. Ctrl-C stops it.")
            sys.stdout.flush()

        def leave() -> None:
            server.close_doors(gateway_config.grace_s, gateway_config.drain_delay_s)

        code = gateway.run(announce, leave)
        server.stop(gateway.grace_left_s)
        return code


def welcome(upstream: EmbeddedUpstream, server: ModelServer, gateway: Gateway, photo: str) -> list[str]:
    """What is served and where, and one line to paste for each way to ask."""
    address = server.config.bind_address
    grpc = f"{address}:{server.grpc_port}"
    lines = [
        f"Gateway  {gateway.url}/",
        f"gRPC     {grpc}",
        f"REST     http://{address}:{server.rest_port}/",
        "",
    ]
    examples: dict[str, str] = {}
    for model in upstream.models():
        try:
            card = upstream.card(model.name)
        except NoCard:
            lines.append(f"  {model.name:24} no card: served over gRPC and REST as it is")
            continue
        except NotFound:
            reason = next((entry.message for entry in model.versions if entry.message), "still loading")
            lines.append(f"  {model.name:24} not available: {reason}")
            continue
        answers = ", ".join(card.labels[:6]) or "a number"
        lines.append(f"  {card.name:24} version {card.version}, {card.task}: {answers}")
        url = f"{gateway.url}/v1/models/{model.name}/classify"
        examples = _ways_to_ask(card, url, grpc, photo) | examples
    if len(lines) == 4:
        lines.append("  no models yet; train one while this runs: python -m training train shapes_cnn")
    pasted = [examples[kind] for kind in ("picture", "text", "row", "service") if kind in examples]
    return [*lines, "", *(["Ask it:", *pasted, ""] if pasted else [])]


def _ways_to_ask(card: ModelCard, url: str, grpc: str, photo: str) -> dict[str, str]:
    """Kind of question to a line to paste."""
    if isinstance(card.input, TextInput):
        review = "'I loved it. The acting is wonderful, the plot never dull.'"
        return {"text": f"  curl -H 'Content-Type: text/plain' --data-binary {review} {url}"}
    if isinstance(card.input, TableInput):
        row = {column.name: round((column.low + column.high) / 2, 3) for column in card.input.columns}
        body = json.dumps({"instances": [row]}).replace("'", "\\u0027")
        return {"row": f"  curl -H 'Content-Type: application/json' --data '{body}' {url}"}
    return {
        "picture": f"  curl -H 'Content-Type: image/jpeg' --data-binary @{photo} {url}",
        "service": f"  {_python()} -m clients classify {photo} --model {card.name} --grpc {grpc}",
    }


def _python() -> str:
    """This interpreter as a person would type it from here."""
    here = Path(sys.executable)
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else "python"


if __name__ == "__main__":
    main()
