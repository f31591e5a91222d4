"""From a version's folder to a ServedVersion: loaded, warmed up, and given its way of batching."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from serving.errors import Code, ServingError
from serving.modelserver.lifecycle.batching.adaptive import Adaptive
from serving.modelserver.lifecycle.batching.alone import Alone
from serving.modelserver.lifecycle.batching.parameters import of_version
from serving.modelserver.lifecycle.batching.scheduled import Scheduled
from serving.modelserver.lifecycle.batching.scheduler import Scheduler
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.lifecycle.versions import Batcher, ServedVersion, Version
from serving.modelserver.lifecycle.warmup import warm_up
from serving.modelserver.runtimes.protocol import LoadedModel
from serving.placement import spread_out

Load = Callable[[Path], LoadedModel]


class Loader:
    """Loads versions; what they share while they run belongs to it."""

    def __init__(self, load: Load, options: LifecycleOptions) -> None:
        self._load, self._options = load, options
        parameters = options.batching.parameters
        self._scheduler = (
            Scheduler(parameters.num_batch_threads, parameters.thread_pool_name)
            if options.batching.mode == "scheduled"
            else None
        )

    def load(self, name: str, version: Version, *, replaces: bool) -> ServedVersion:
        """One try.

        Args:
            name: the model.
            version: which of its versions.
            replaces: another version serves, so that its callers will come to this one all at once.

        Raises:
            ServingError: of whatever went wrong, with the runtime's own code and text.
        """
        metrics, started, status = self._options.metrics, time.perf_counter(), Code.INTERNAL
        try:
            with spread_out():  # whatever threads a runtime computes with are made here
                served = self._build(name, version, replaces)
            status = Code.OK
        except ServingError as error:
            status = error.code
            raise
        except Exception as error:  # a runtime's own kinds of failure must not end the thread that loads
            raise ServingError(f"{type(error).__name__}: {error}") from error
        finally:
            metrics.load_attempts.of(str(version.folder), status.name).inc()
            metrics.loads.of(name, status.name).inc()
        metrics.load_seconds.of(name, str(version.number)).set(time.perf_counter() - started)
        return served

    def _build(self, name: str, version: Version, replaces: bool) -> ServedVersion:
        model, batching = self._load(version.folder), self._options.batching
        try:
            adaptive = batching.mode == "adaptive" and replaces
            sizes = batching.up_to(model.best_rows).preferred_sizes if adaptive and model.best_rows else ()
            warm_up(version.folder, model, self._options.warmup, self._options.metrics, sizes)
            return ServedVersion(name, version.number, model, self._batcher(name, version, model))
        except BaseException:
            model.close()
            raise

    def _batcher(self, name: str, version: Version, model: LoadedModel) -> Batcher:
        metrics, batching = self._options.metrics, self._options.batching
        meter = metrics.meter(name, version.number)
        if batching.mode == "adaptive" and model.best_rows:
            return Adaptive(model, batching.up_to(model.best_rows), meter)
        parameters = of_version(version.folder) if batching.per_model else batching.parameters
        if self._scheduler is None or parameters is None:
            return Alone(model, meter)
        parameters = replace(parameters, thread_pool_name=batching.parameters.thread_pool_name)
        return Scheduled(model, parameters, self._scheduler, meter, metrics)

    def close(self) -> None:
        """Stop what the versions shared. None of them runs any more."""
        if self._scheduler is not None:
            self._scheduler.close()
