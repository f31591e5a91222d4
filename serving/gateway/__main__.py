"""`python -m serving.gateway`: the gateway in front of a remote model server.

Every field of GatewayConfig is an option here and an environment variable GATEWAY_<NAME>.
"""

import logging
import os
import sys
from dataclasses import fields
from typing import Any

import click

from serving.errors import ServingError
from serving.gateway.config import GatewayConfig, meanings, parse
from serving.gateway.remote import RemoteUpstream
from serving.gateway.server import Gateway
from serving.http_connection import raise_file_limit
from serving.memory import share_arenas
from serving.placement import keep_together


def _options(command: Any) -> Any:
    said = meanings()
    for entry in reversed(fields(GatewayConfig)):
        name, default = f"--{entry.name.replace('_', '-')}", "none" if entry.default in (None, ()) else entry.default
        command = click.option(name, entry.name, metavar="VALUE", help=f"{said[entry.name]} [{default}]")(command)
    return command


@click.command()
@_options
def main(**given: str | None) -> None:
    """Serve pictures and texts over HTTP in front of a model server's gRPC port."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        chosen = {name: parse(name, text) for name, text in given.items() if text is not None}
        code = serve(GatewayConfig.from_env(**chosen))
    except ServingError as error:
        print(f"serving.gateway: {error.message}", file=sys.stderr)
        sys.exit(2)
    if code:  # a thread is still at work, and Python would wait for it without end
        os._exit(code)


def serve(config: GatewayConfig) -> int:
    """Run until told to stop; returns the exit code."""
    share_arenas()
    raise_file_limit()
    upstream = RemoteUpstream(config.upstream, models=config.models, ca=config.upstream_ca, rest=config.upstream_rest)
    gateway = Gateway(config, upstream)
    breaker, budget = upstream.channel.breaker, upstream.channel.budget
    watch = gateway.services.metrics.watch
    watch(
        "gateway_upstream_circuit_open", "1 while the model server is not asked.", lambda: breaker.state() != "closed"
    )
    watch("gateway_upstream_retries", "Calls made a second time.", lambda: budget.spent, grows=True)

    def announce() -> None:
        keep_together(-1)
        print(f"gateway on {gateway.url}, model server {config.upstream}", file=sys.stderr)

    try:
        return gateway.run(announce)
    finally:
        upstream.close()


if __name__ == "__main__":
    main()
