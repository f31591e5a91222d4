"""python -m serving.modelserver: the command line of tensorflow_model_server in front of server.py."""

import gc
import json
import logging
import os
import sys
import threading
from importlib import metadata

from serving import environment
from serving.errors import ServingError
from serving.modelserver import flags as command_line
from serving.modelserver.flag_effects import config_of
from serving.modelserver.flag_table import Flags
from serving.modelserver.oip_calls import server_version
from serving.modelserver.server import ModelServer, StartFailed
from serving.placement import keep_together
from serving.signals import Signals

log = logging.getLogger("serving.modelserver")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Of one record."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def main(arguments: list[str]) -> int:
    """Run until told to stop; returns the exit code."""
    environment.settle()
    try:
        line = command_line.parse(arguments)
    except command_line.UsageError as error:
        print(f"{error.message}\n{command_line.usage()}", end="")
        return 1
    if line.help_wanted:
        print(command_line.usage(), end="")
        return 1
    if line.flags.version:
        print(versions())
        return 0
    set_up_logging(line.flags.log_format)
    if line.unknown:
        for argument in line.unknown:
            print(command_line.complaint(argument))
        print(command_line.usage(), end="", flush=True)
        if line.flags.strict_flags:
            return 1
    for warning in line.warnings:
        log.warning("%s", warning)
    return serve(line.flags)


def serve(flags: Flags) -> int:
    """Start, wait for SIGTERM or SIGINT, drain; returns the exit code."""
    try:
        server = ModelServer(config_of(flags))
        ending = Ending(server)
        server.start()
    except StartFailed as error:
        if ending.begun.is_set():
            return ending.wait()
        print(error.message, flush=True)
        return 1
    except ServingError as error:
        print(StartFailed(error).message, flush=True)
        return 1
    gc.collect()
    gc.freeze()  # what is there now stays: no need to look through it again while answering
    keep_together()
    return ending.wait()


class Ending:
    """Stops a server at the first signal."""

    def __init__(self, server: ModelServer) -> None:
        self.begun, self._done = threading.Event(), threading.Event()
        self._server = server
        self._signals = Signals(self._stop)

    def _stop(self) -> None:
        self.begun.set()
        try:
            self._server.stop()
        finally:
            self._done.set()

    def wait(self) -> int:
        """Until the server has been told to stop and has done so; the exit code."""
        self._done.wait()
        log.info("stopped")
        return 0


def versions() -> str:
    """What --version prints; TensorFlow is named where it is installed, without loading it."""
    try:
        tensorflow = metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        tensorflow = "not installed"
    return f"TensorFlow ModelServer: {server_version()}-slipway\nTensorFlow Library: {tensorflow}"


def set_up_logging(log_format: str) -> None:
    """One line each on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if log_format == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that are held by a request past its grace must not keep the process
