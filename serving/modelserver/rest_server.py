"""The REST door: uvicorn on a thread of its own, around the app of rest_app.py."""

import asyncio
import contextlib
import logging
import socket
import threading
from concurrent.futures import Future

import uvicorn
import uvloop

from serving.errors import Unavailable
from serving.modelserver.rest_app import RestApp
from serving.modelserver.rest_connection import connection_class
from serving.modelserver.rest_limits import RestLimits

log = logging.getLogger(__name__)
logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # what it says at start and stop is said here

_BACKLOG = 2048
_IDLE_S = 300
"""An unused connection is kept so long; clients keep pools of them."""
_START_S = 30


class RestServer:
    """The open port."""

    def __init__(self, app: RestApp, address: str, port: int, *, limits: RestLimits, drain_s: float) -> None:
        """Open; port 0 is one that the system chooses.

        Raises:
            Unavailable: the port cannot be had.
        """
        self._app, self._drain_s = app, drain_s
        self._socket = _listen(address, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=connection_class(limits, idle_s=_IDLE_S),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        self._uvicorn = uvicorn.Server(config)
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="rest-loop", daemon=True)
        self._thread.start()
        self._started.result(_START_S)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except Exception as error:
            log.exception("the REST port has stopped")
            if not self._started.done():
                self._started.set_exception(error)

    async def _serve(self) -> None:
        serving = asyncio.ensure_future(self._uvicorn.serve(sockets=[self._socket]))
        while not self._uvicorn.started and not serving.done():
            await asyncio.sleep(0.002)
        if not serving.done():
            self._started.set_result(None)
        await serving

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._uvicorn.server_state.connections)

    def stop(self) -> None:
        """Take no new connections, let the requests under way end, close."""
        self._uvicorn.should_exit = True
        self._thread.join(self._drain_s + 5)
        self._app.close()
        with contextlib.suppress(OSError):
            self._socket.close()


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise Unavailable(f"cannot listen for REST at {address}:{port}: {error}") from error
    listening.setblocking(False)
    return listening
