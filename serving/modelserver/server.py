"""ModelServer: loads the models, opens gRPC, then REST, and takes it all down in order.

`__main__.py` makes one from the command line, python -m serving and the tests make one in their own
process. Below are the doors (grpc_door.py, or grpc_library_door.py for TLS; rest_server.py) and the manager of
models (`lifecycle/`).
"""

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from serving import memory
from serving.errors import Overloaded, ServingError, Unavailable
from serving.http_connection import raise_file_limit
from serving.modelserver import config_file
from serving.modelserver.calls import reload
from serving.modelserver.calls.replay import REPLAYS
from serving.modelserver.config_poll import ConfigPoll
from serving.modelserver.grpc_door import GrpcDoor, GrpcOptions, takes
from serving.modelserver.grpc_health import Health
from serving.modelserver.lifecycle.loading import Load
from serving.modelserver.lifecycle.manager import ModelManager, NotAvailable
from serving.modelserver.lifecycle.settings import ModelSettings
from serving.modelserver.messages import Messages
from serving.modelserver.oip_server import OipMessages, OipRest
from serving.modelserver.prometheus_page import MetricsPages
from serving.modelserver.reflection import Reflection
from serving.modelserver.rest_app import RestApp
from serving.modelserver.rest_calls import RestCalls
from serving.modelserver.rest_limits import RestLimits
from serving.modelserver.rest_server import RestServer
from serving.modelserver.runtimes.conversion_process import VersionLoader
from serving.modelserver.server_config import ServerConfig

log = logging.getLogger(__name__)


class Door(Protocol):
    """An open port or socket."""

    port: int | None

    def stop(self, grace_s: float) -> None:
        """Take nothing new, let what is under way end for so long, then cut it off."""


class StartFailed(ServingError):
    """The server cannot start; `cause` says with which code and why."""

    def __init__(self, cause: ServingError, message: str | None = None) -> None:
        super().__init__(f"Failed to start server. Error: {cause.code.name}: {message or cause.message}")
        self.cause = cause


class ModelServer:
    """A model server in this process; use it as a context manager, or call start() and stop()."""

    def __init__(self, config: ServerConfig, load: Load | None = None) -> None:
        """Nothing happens yet.

        Args:
            config: what to serve, where and how.
            load: a version's folder to a LoadedModel; None: the runtimes that `config.runtime` allows.
        """
        self.config = config
        warmup = replace(config.lifecycle.warmup, replays=REPLAYS)
        options = replace(config.lifecycle, warmup=warmup)
        self._loader = VersionLoader(config.runtime)
        self.manager = ModelManager(load or self._loader.load, options)
        self._poll: ConfigPoll | None = None
        self._health = Health(self.manager) if config.health_service else None
        self._grpc: Door | None = None
        self._rest: RestServer | None = None
        self._stopped = threading.Event()
        self._opening = threading.Lock()
        self._closing: list[threading.Thread] | None = None

    @property
    def grpc_port(self) -> int | None:
        """The TCP port of gRPC, once it is open."""
        return self._grpc.port if self._grpc else None

    @property
    def rest_port(self) -> int | None:
        """The port of REST, once it is open."""
        return self._rest.port if self._rest else None

    def start(self) -> None:
        """Load the models, then open gRPC, then REST; returns when both are open.

        Raises:
            StartFailed: with the text that tensorflow_model_server prints.
        """
        raise_file_limit()
        memory.share_arenas()
        try:
            self._load()
            memory.give_back()
            with self._opening:
                if self._stopped.is_set():
                    raise Unavailable("the server was told to stop")
                self._open()
            self._loader.serves = True
        except NotAvailable as error:
            self.stop(0)
            raise StartFailed(error, error.describe("servable")) from error
        except ServingError as error:
            self.stop(0)
            raise StartFailed(error) from error
        except RuntimeError as error:
            self.stop(0)
            if "new thread" not in str(error):
                raise
            text = f"{error}; raise the limit of threads of this user or container"
            raise StartFailed(Overloaded(text)) from error
        except BaseException:
            self.stop(0)
            raise

    def wait_until_available(self, name: str, timeout_s: float) -> None:
        """Wait for a model's first version; raises DeadlineExceeded."""
        self.manager.wait_until_available(name, timeout_s)

    def _load(self) -> None:
        config = self.config
        if config.models_root is not None:
            self.manager.serve_root(config.models_root)
        elif config.model_config_file is not None:
            self._load_listed(config.model_config_file)
        elif config.base_path is not None:
            path = config_file.base_path(config.name, str(config.base_path))
            self.manager.configure([ModelSettings(config.name, path)])

    def _load_listed(self, file: Path) -> None:
        """The models of a config file; one that says nothing yet is as good as an empty list."""
        listed = config_file.read(file)
        if listed.WhichOneof("config") is None:
            log.warning("%s lists no models: nothing is served until it does or a reload brings some", file)
        else:
            reload.apply(self.manager, listed)
        if self.config.config_poll_s > 0:
            self._poll = ConfigPoll(file, self.config.config_poll_s, self.manager)

    def _open(self) -> None:
        config = self.config
        if config.grpc_port is not None or config.grpc_socket_path is not None:
            self._grpc = self._open_grpc()
            where = config.grpc_socket_path if self._grpc.port is None else f"{config.bind_address}:{self._grpc.port}"
            if config.alts:
                log.warning("gRPC over ALTS works on Google Cloud only: elsewhere no client can connect")
            log.info("Running gRPC ModelServer at %s ...", where)
        if config.rest_port is not None:
            if config.rest_port == config.grpc_port != 0:
                log.error("rest_api_port and port are both %d: REST is not served", config.rest_port)
                return
            self._rest = self._open_rest()
            log.info("Exporting HTTP/REST API at:localhost:%d ...", self._rest.port)

    def _open_grpc(self) -> Door:
        config = self.config
        messages = Messages(
            self.manager,
            tensor_content=config.tensor_content,
            check_method_names=config.check_method_names,
        )
        services = {**messages.services(), **OipMessages(self.manager).services()}
        if self._health is not None:
            services |= self._health.services()
            self._health.begin()
        services |= Reflection(list(services)).services()
        options = GrpcOptions(
            address=config.bind_address,
            port=config.grpc_port,
            socket_path=config.grpc_socket_path,
            arguments=config.grpc_arguments,
            most_calls=config.most_calls,
            silence_s=config.body_timeout_s,
            whole_s=config.body_total_s,
        )
        if config.tls or config.alts or not takes(config.grpc_arguments):
            from serving.modelserver.grpc_library_door import GrpcLibraryDoor  # and with it Python's grpc, 9 MB

            return GrpcLibraryDoor(options, services, config.tls, alts=config.alts)
        return GrpcDoor(options, services)

    def _open_rest(self) -> RestServer:
        config = self.config
        limits = RestLimits(
            run_s=config.rest_timeout_s,
            silence_s=config.body_timeout_s,
            body_s=config.body_total_s,
            most_body_bytes=config.most_body_bytes,
            most_buffered_bytes=config.most_buffered_bytes,
            most_connections=config.most_connections,
        )
        app = RestApp(
            [
                MetricsPages(self.manager.metrics, config.monitoring_path),
                RestCalls(self.manager, check_method_names=config.check_method_names),
                OipRest(self.manager),
            ],
            threads=config.rest_threads,
            limits=limits,
            cors=config.rest_cors,
        )
        assert config.rest_port is not None
        return RestServer(app, config.bind_address, config.rest_port, limits=limits)

    def close_doors(self, grace_s: float, delay_s: float = 0.0) -> list[threading.Thread]:
        """Tell health checks at once, then take nothing new and let requests under way end; does not wait.

        Args:
            grace_s: longest wait for requests under way.
            delay_s: for so long new requests are still taken, since those who route them hear of it late.

        Returns:
            What ends when the doors are closed: of the first call, whatever later ones ask for.
        """
        if self._closing is None:
            if self._health is not None:
                self._health.drain()
            doors = [door for door in (self._rest, self._grpc) if door is not None]
            self._closing = [
                threading.Thread(target=_close, args=(door, grace_s, delay_s), daemon=True) for door in doors
            ]
            for thread in self._closing:
                thread.start()
        return self._closing

    def stop(self, grace_s: float | None = None) -> None:
        """Tell health checks, take nothing new, let requests under way end, free the models.

        May be called from any thread, also while start() is still waiting for models: it fails then.

        Args:
            grace_s: longest wait for requests under way; the configured time if None.
        """
        with self._opening:
            if self._stopped.is_set():
                return
            self._stopped.set()
        self._loader.stop()
        grace = self.config.drain_s if grace_s is None else grace_s
        deadline = time.monotonic() + grace
        if self._poll is not None:
            self._poll.stop()
        for door in self.close_doors(grace):
            door.join()
        self.manager.close(drain_s=max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        """Started."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stopped."""
        self.stop()


def _close(door: Door, grace_s: float, delay_s: float) -> None:
    time.sleep(delay_s)
    door.stop(grace_s)
