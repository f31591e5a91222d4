"""Run signatures on OpenVINO, without TensorFlow: the programs of `openvino_compiled.py`, made ready and warmed.

`openvino_shapes.py` admits shapes, `openvino_program.py` holds what was compiled.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput, OutOfRange, ServingError
from serving.modelserver.runtimes import arguments, machine
from serving.modelserver.runtimes.openvino_compiled import Compiled, compile_model
from serving.modelserver.runtimes.openvino_conversion import NotConvertible, core, openvino
from serving.modelserver.runtimes.openvino_growth import Growth
from serving.modelserver.runtimes.openvino_program import Program, reason
from serving.modelserver.runtimes.openvino_shapes import Shape
from serving.modelserver.runtimes.protocol import RuntimeOptions, Signature, Tensors
from serving.wire import dtypes

_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative", "Conv3D"}
_LONG = re.compile("Conv|MatMul|Einsum|While|RNN|LSTM|GRU|FFT|Resize|Pool")
"""Operations that multiply much or loop have this in their names."""

_MOST_VARIANTS = 4
"""Ranks other than the stated ones that are kept compiled."""


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16 itself."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def settings(options: RuntimeOptions, precision: str, operations: Collection[str] = _CONVOLUTIONS) -> dict[str, Any]:
    """How models are compiled: as many threads as cores, in at least two streams; all overridable.

    Threads are not pinned: several models and the server's own threads share the cores, and pinned ones
    queued up behind each other.

    A graph that only looks up and adds is done before another thread has woken up, so it is computed in the
    calling one: no streams, which OpenVINO takes for just that.
    """
    threads = options.threads or machine.cores()
    streams = options.streams or machine.streams(threads)
    if not (options.threads or options.streams or any(map(_LONG.search, operations))):
        threads, streams = 1, 0
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",  # int8 is in the model itself
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,
    }


def own_rows(operations: Collection[str], signature: Signature) -> tuple[int, ...]:
    """Numbers of rows to compile for exactly, the last being worth merging up to; empty: compile for any number.

    A program that takes any number costs more for each, again whenever the number changes, and several
    times the memory: MobileNetV2 took 6.5 ms of CPU for one picture instead of 5.9 in float32, some 2 ms more in
    a run that followed one of another size, and 79 MB instead of 44 once it had seen four rows. Under load two
    rows at once save an eighth of each in float32 and int8, since both share the weights that are read; four
    save no more, and what they compute with does not stay in the caches. Networks that do not convolve mostly read
    weights, which many rows share.
    """
    rows = all(spec.has_rows for spec in signature.outputs.values())
    return () if _CONVOLUTIONS.isdisjoint(operations) or not rows else (1, 2)


class BeyondThirtyTwoBits(OutOfRange):
    """A value that OpenVINO would cut short."""


class OpenVinoSignature:
    """One signature, ready to run. Its owner sees to it that nothing runs while it is closed."""

    def __init__(self, compiled: Compiled) -> None:
        """Make its infer requests and run each once."""
        self._signature, self._config = compiled.signature, compiled.config
        self._source, self._shapes, self._narrowed = compiled.source, compiled.shapes, compiled.narrowed
        self._lock = threading.Lock()
        self._variants: OrderedDict[tuple[int, ...], Program] = OrderedDict()
        self._ports = compiled.ports
        self._exact = self._programs(compiled.exact)
        self._growth = Growth(compiled, self._grow) if compiled.later else None
        self._program: Program | None = None
        if compiled.whole is not None:
            self._program = Program(openvino(), compiled.whole, compiled.ports)
        self.best_rows = compiled.best_rows
        """See LoadedModel.best_rows."""
        programs = [*self._exact.values(), *([self._program] if self._program else [])]
        self.parallel = max((program.parallel for program in programs), default=1)
        self._warm(self._exact or self._one_row())

    def run(self, inputs: Tensors, outputs: Collection[str] | None) -> dict[str, NDArray[Any]]:
        """See LoadedModel.run; also BeyondThirtyTwoBits where 32 bits do not hold a value."""
        arguments.check(self._signature, inputs)
        aliases = arguments.wanted(self._signature, outputs)
        arrays = [inputs[alias] for alias in self._signature.inputs]
        for alias in self._narrowed:
            _within_32_bits(alias, inputs[alias])
        sent = tuple(array.shape for array in arrays)
        if exact := self._exact.get(sent):
            return exact.run(arrays, aliases)
        if self._exact and self._shapes.fit(sent) and len({shape[0] for shape in sent}) == 1 and sent[0][0]:
            return self._in_pieces(arrays, aliases)
        return self._program_for(sent).run(arrays, aliases)

    def close(self) -> None:
        """Free everything."""
        if self._growth is not None:
            self._growth.close()
        self._variants.clear()
        self._exact.clear()
        del self._program, self._source, self._shapes

    def _grow(self, exact: Mapping[tuple[Shape, ...], Any]) -> None:
        """Take in programs for more rows; called on a thread of its own while this one and others run."""
        found = self._programs(exact)
        self._warm(found)
        self._exact = {**found, **self._exact}

    def _programs(self, exact: Mapping[tuple[Shape, ...], Any]) -> dict[tuple[Shape, ...], Program]:
        return {shapes: Program(openvino(), compiled, self._ports) for shapes, compiled in exact.items()}

    def _program_for(self, sent: tuple[Shape, ...]) -> Program:
        """The compiled model that takes these shapes; one of their ranks is compiled if there is none."""
        self._shapes.admit(sent)
        if self._program is not None and self._shapes.fit(sent):
            return self._program
        return self._variant(tuple(map(len, sent)))

    def _in_pieces(self, arrays: Sequence[NDArray[Any]], aliases: Sequence[str]) -> dict[str, NDArray[Any]]:
        """A request of some rows as runs of the numbers that were compiled for."""
        if self._growth is not None:
            self._growth.missed()
        parts: list[dict[str, NDArray[Any]]] = []
        start, rows = 0, arrays[0].shape[0]
        for shapes, program in self._exact.items():
            size = shapes[0][0]
            while rows - start >= size:
                parts.append(program.run([array[start : start + size] for array in arrays], aliases))
                start += size
        return {alias: np.concatenate([part[alias] for part in parts]) for alias in aliases}

    def _variant(self, ranks: tuple[int, ...]) -> Program:
        with self._lock:
            if ranks not in self._variants:
                converted = self._source.get()
                anything = replace(converted, model=converted.model.clone())
                try:
                    anything.reshape(anything.model, [[-1] * rank for rank in ranks])
                    program = compile_model(anything, self._config)
                    self._variants[ranks] = Program(openvino(), program, anything.ports)
                except (RuntimeError, NotConvertible) as error:
                    raise BadInput(f"The graph cannot take inputs of ranks {list(ranks)}: {reason(error)}") from error
            self._variants.move_to_end(ranks)
            if len(self._variants) > _MOST_VARIANTS:
                self._variants.popitem(last=False)
            return self._variants[ranks]

    def _one_row(self) -> dict[tuple[Shape, ...], Program]:
        """The program for any shape, with the smallest that it takes."""
        one = tuple(tuple(max(size, 1) for size in shape or ()) for shape in self._shapes.declared)
        return {one: self._program} if self._program is not None else {}

    def _warm(self, programs: Mapping[tuple[Shape, ...], Program]) -> None:
        """Zeros through every infer request; a graph that refuses zeros is none the worse."""
        types = [dtypes.numpy_dtype(spec.data_type) for spec in self._signature.inputs.values()]
        for shapes, program in programs.items():
            arrays = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, types, strict=True)]
            try:
                self._shapes.admit(shapes)
                program.warm(arrays)
            except ServingError:
                return


def _within_32_bits(alias: str, array: NDArray[Any]) -> None:
    limits = np.iinfo(np.int32)
    if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
        raise BeyondThirtyTwoBits(
            f"{alias} holds values beyond 32 bits, which only the TensorFlow runtime computes with"
        )
