"""Run signatures on TensorFlow itself: everything that the other runtime cannot, where TensorFlow is installed.

The graph is fed through a session, as tensorflow_model_server does it: dtypes are held to, the shapes
that a signature states are not. Variables and tables live in the session, so each loaded version has
its own and keeps them from call to call. TensorFlow is imported when the first version needs it.
"""

import functools
import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import ServingError, of_code
from serving.modelserver.runtimes import arguments
from serving.modelserver.runtimes.protocol import RuntimeOptions, Signature, Tensors, widened
from serving.wire import dtypes

_MOST_CALLABLES = 256
"""Prepared sets of outputs of one version; past that, all outputs are computed and some dropped."""


@functools.cache
def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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
        self._callables: dict[tuple[str, tuple[str, ...]], Any] = {}
        v1 = _tensorflow().compat.v1
        try:
            self._session = v1.Session(graph=v1.Graph(), config=_config(options))
        except Exception as error:
            raise _failure(error) from error
        try:
            v1.saved_model.loader.load(self._session, sorted(options.tags), str(folder))
        except Exception as error:
            self._session.close()
            raise _failure(error) from error

    def run(self, name: str, inputs: Tensors, outputs: Collection[str] | None) -> dict[str, NDArray[Any]]:
        """See LoadedModel.run."""
        signature = widened(self._signatures[name], outputs or (), self._signatures)
        arguments.check(signature, inputs)
        aliases = arguments.wanted(signature, outputs)
        fed = {spec.name: inputs[alias] for alias, spec in signature.inputs.items()}
        passed_on = {alias: fed[signature.outputs[alias].name] for alias in aliases if _is_fed(signature, alias)}
        computed = self._compute(signature, [alias for alias in aliases if alias not in passed_on], list(fed.values()))
        found = passed_on | computed
        return {alias: _array(found[alias], signature.outputs[alias].data_type) for alias in aliases}

    def close(self) -> None:
        """Free the session."""
        self._callables.clear()
        self._session.close()
        del self._session

    def _compute(self, signature: Signature, aliases: list[str], arrays: list[NDArray[Any]]) -> dict[str, Any]:
        fetched, call = self._callable(signature, aliases)
        try:
            values = call(*arrays)
        except Exception as error:
            raise _failure(error) from error
        by_tensor = dict(zip(fetched, values, strict=True))
        return {alias: by_tensor[signature.outputs[alias].name] for alias in aliases}

    def _callable(self, signature: Signature, aliases: list[str]) -> tuple[tuple[str, ...], Any]:
        """The tensors to fetch and the prepared call that fetches them."""
        fetched = tuple(sorted({signature.outputs[alias].name for alias in aliases}))
        with self._lock:
            if (signature.name, fetched) not in self._callables:
                if len(self._callables) >= _MOST_CALLABLES:
                    everything = {
                        spec.name for alias, spec in signature.outputs.items() if not _is_fed(signature, alias)
                    }
                    fetched = tuple(sorted(everything))
                self._callables[signature.name, fetched] = self._prepared(signature, fetched)
            return fetched, self._callables[signature.name, fetched]

    def _prepared(self, signature: Signature, fetched: tuple[str, ...]) -> Any:
        """A call by tensor names: unlike Session.run it leaves shapes to the graph."""
        options = _callable_options()
        options.feed.extend(spec.name for spec in signature.inputs.values())
        options.fetch.extend(fetched)
        try:
            return self._session._make_callable_from_options(options)
        except Exception as error:
            raise _failure(error) from error


def _callable_options() -> Any:
    from tensorflow.core.protobuf import config_pb2

    return config_pb2.CallableOptions()


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
