"""Run signatures on TensorFlow itself: everything that the other runtime cannot, where TensorFlow is installed.

The graph is fed through a session, as tensorflow_model_server does it: dtypes are held to, the shapes
that a signature states are not. Variables and tables live in the session, so each loaded version has
its own and keeps them from call to call. TensorFlow is imported when the first version needs it.

A graph that may loop or wait for ever is given the time that its request has left: TensorFlow ends the run
between two operations. Prepared calls, which cannot be told a time, do for all others; they cost half as much.
"""

import functools
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import environment
from serving.errors import ServingError, Unavailable, of_code
from serving.modelserver.runtimes import arguments, graph
from serving.modelserver.runtimes.protocol import RuntimeOptions, Signature, Tensors, widened
from serving.wire import dtypes

_MOST_CALLS = 256
"""Prepared sets of outputs of one version; past that, all outputs are computed and some dropped."""

_LONGEST_MS = 2**31
"""TensorFlow adds this to the time of day in nanoseconds, of which 64 bits hold 292 years."""

_Call = Callable[[list[NDArray[Any]], float | None], list[Any]]
"""Values to feed and a deadline, to the values fetched."""


@functools.cache
def _tensorflow() -> Any:
    environment.settle()  # for who embeds a server and has not; where it has been done, nothing is set here
    import tensorflow

    tensorflow.get_logger().setLevel("ERROR")  # the loader that feeds graphs is announced as deprecated on every load
    return tensorflow


class TensorFlowSession:
    """One version in a session of its own. Its owner sees to it that nothing runs while it is closed."""

    def __init__(self, folder: Path, signatures: Mapping[str, Signature], options: RuntimeOptions) -> None:
        """Load the graph, restore its variables, run its init op with the version's own assets.

        Raises:
            ServingError: with TensorFlow's code and text.
        """
        self._signatures = signatures
        self._lock = threading.Lock()
        self._calls: dict[tuple[str, tuple[str, ...]], _Call] = {}
        self._broken_off = False
        v1 = _tensorflow().compat.v1
        try:
            self._session = v1.Session(graph=v1.Graph(), config=_config(options))
        except Exception as error:
            raise _failure(error) from error
        try:
            loaded = v1.saved_model.loader.load(self._session, sorted(options.tags), str(folder))
            self._has_end = not graph.may_go_on(graph.all_operations(loaded.graph_def))
            self._session._extend_graph()
        except Exception as error:
            self._session.close()
            raise _failure(error) from error

    def run(
        self, name: str, inputs: Tensors, outputs: Collection[str] | None, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """See LoadedModel.run."""
        signature = widened(self._signatures[name], outputs or (), self._signatures)
        arguments.check(signature, inputs)
        aliases = arguments.wanted(signature, outputs)
        fed = {spec.name: inputs[alias] for alias, spec in signature.inputs.items()}
        passed_on = {alias: fed[signature.outputs[alias].name] for alias in aliases if _is_fed(signature, alias)}
        computed = self._compute(
            signature, [alias for alias in aliases if alias not in passed_on], list(fed.values()), deadline
        )
        found = passed_on | computed
        return {alias: _array(found[alias], signature.outputs[alias].data_type) for alias in aliases}

    def break_off(self) -> None:
        """End the runs under way, each between two operations: they raise Unavailable."""
        self._broken_off = True
        self._session.close()

    def close(self) -> None:
        """End the session; its memory goes with this object."""
        self._calls.clear()
        self._session.close()

    def _compute(
        self, signature: Signature, aliases: list[str], arrays: list[NDArray[Any]], deadline: float | None
    ) -> dict[str, Any]:
        fetched, call = self._call(signature, aliases)
        try:
            values = call(arrays, deadline)
        except Exception as error:
            if self._broken_off:
                raise Unavailable("The run was broken off, since the server is shutting down") from error
            raise _failure(error) from error
        by_tensor = dict(zip(fetched, values, strict=True))
        return {alias: by_tensor[signature.outputs[alias].name] for alias in aliases}

    def _call(self, signature: Signature, aliases: list[str]) -> tuple[tuple[str, ...], _Call]:
        """The tensors to fetch and the prepared call that fetches them."""
        fetched = tuple(sorted({signature.outputs[alias].name for alias in aliases}))
        with self._lock:
            if (signature.name, fetched) not in self._calls:
                if len(self._calls) >= _MOST_CALLS:
                    everything = {
                        spec.name for alias, spec in signature.outputs.items() if not _is_fed(signature, alias)
                    }
                    fetched = tuple(sorted(everything))
                fed = dict.fromkeys(spec.name for spec in signature.inputs.values())
                try:
                    self._calls[signature.name, fetched] = (
                        self._prepared(fed, fetched) if self._has_end else self._limited(fed, fetched)
                    )
                except Exception as error:
                    raise _failure(error) from error
            return fetched, self._calls[signature.name, fetched]

    def _prepared(self, fed: Collection[str], fetched: Collection[str]) -> _Call:
        """A call by tensor names: unlike Session.run it leaves shapes to the graph."""
        options = _protos().CallableOptions(feed=fed, fetch=fetched)
        call = self._session._make_callable_from_options(options)
        return lambda arrays, _: call(*arrays)

    def _limited(self, fed: Collection[str], fetched: Collection[str]) -> _Call:
        """The same with a time limit, by what Session.run itself stands on."""
        feeds, fetches = ([self._tensor(name) for name in names] for names in (fed, fetched))
        return partial(_run_limited, self._session, feeds, fetches)

    def _tensor(self, name: str) -> Any:
        return self._session.graph.get_tensor_by_name(name if ":" in name else f"{name}:0")._as_tf_output()


def _run_limited(
    session: Any, feeds: list[Any], fetches: list[Any], arrays: list[NDArray[Any]], deadline: float | None
) -> list[Any]:
    values = dict(zip(feeds, arrays, strict=True))
    if deadline is None:
        return list(session._call_tf_sessionrun(None, values, fetches, [], None))
    from tensorflow.python.client import pywrap_tf_session

    left_ms = min((deadline - time.monotonic()) * 1000, _LONGEST_MS)
    options = _protos().RunOptions(timeout_in_ms=max(1, math.ceil(left_ms)))  # 0 would be no limit
    buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
    try:
        return list(session._call_tf_sessionrun(buffer, values, fetches, [], None))
    finally:
        pywrap_tf_session.TF_DeleteBuffer(buffer)


def _protos() -> Any:
    from tensorflow.core.protobuf import config_pb2

    return config_pb2


def _config(options: RuntimeOptions) -> Any:
    """The session's ConfigProto."""
    config = _tensorflow().compat.v1.ConfigProto.FromString(options.session_config)
    if options.intra_op_threads:
        config.intra_op_parallelism_threads = options.intra_op_threads
    if options.inter_op_threads:
        config.inter_op_parallelism_threads = options.inter_op_threads
    if options.gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = options.gpu_memory_fraction
    else:
        config.gpu_options.allow_growth = True
    return config


def _is_fed(signature: Signature, alias: str) -> bool:
    return any(spec.name == signature.outputs[alias].name for spec in signature.inputs.values())


def _array(value: Any, data_type: int) -> NDArray[Any]:
    """An array of the caller's own; TensorFlow gives a lone string or number as a Python object."""
    if data_type == dtypes.STRING:
        array = np.empty(np.shape(value), np.object_)
        array[...] = value
        return array
    return np.array(value)


def _failure(error: Exception) -> ServingError:
    """TensorFlow's error with its own code; its Python side raises ValueError, TypeError and others besides."""
    if isinstance(error, _tensorflow().errors.OpError):
        return of_code(error.error_code, error.message)
    return ServingError(f"{type(error).__name__}: {error}")
