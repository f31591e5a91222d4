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

    def __init__(self, app: RestApp, address: str, port: int, *, limits: RestLimits) -> None:
        """Open; port 0 is one that the system chooses.

        Raises:
            Unavailable: the port cannot be had, or nobody answers at it.
        """
        self._app = app
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
        )
        self._uvicorn = uvicorn.Server(config)
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="rest-loop", daemon=True)
        self._thread.start()
        try:
            self._started.result(_START_S)
        except TimeoutError:
            self.stop(0)
            raise Unavailable(f"nobody answers at the REST port {self.port} after {_START_S} s") from None
        except Unavailable:
            self.stop(0)
            raise

    def _run(self) -> None:
        why = "its server ended at once"
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except (Exception, SystemExit) as error:  # uvicorn leaves some failed starts by sys.exit
            log.exception("the REST port has stopped")
            why = f"{type(error).__name__}: {error}"
        if not self._started.done():
            self._started.set_exception(Unavailable(f"nobody answers at the REST port {self.port}: {why}"))

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

    def stop(self, grace_s: float) -> None:
        """Take no new connections, let the requests under way end for so long, close."""
        self._uvicorn.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._uvicorn.should_exit = True
        self._thread.join(grace_s + 5)
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
