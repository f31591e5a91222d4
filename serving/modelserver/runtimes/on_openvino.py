"""Run signatures on OpenVINO: converted, compiled and warmed at load, without TensorFlow.

`choice.py` asks which signatures of a version run here. `openvino_conversion.py` reads them,
`openvino_shapes.py` admits shapes, `openvino_program.py` holds what was compiled.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import Aborted, BadInput, OutOfRange, ServingError
from serving.modelserver.runtimes import arguments, machine, openvino_conversion, saved_model
from serving.modelserver.runtimes.openvino_conversion import (
    Converted,
    NotConvertible,
    core,
    openvino,
)
from serving.modelserver.runtimes.openvino_program import Program, reason
from serving.modelserver.runtimes.openvino_shapes import Shape, Shapes
from serving.modelserver.runtimes.openvino_source import Source
from serving.modelserver.runtimes.protocol import RuntimeOptions, Signature, Tensors
from serving.modelserver.runtimes.saved_model import Bundle
from serving.wire import dtypes

Read = Callable[[Bundle, Signature], Converted]
"""From a signature to the OpenVINO model that computes it."""

MANY = 1 << 20
"""Rows: no limit is known beyond which they gain nothing."""
_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative", "Conv3D"}

_MOST_VARIANTS = 4
"""Ranks other than the stated ones that are kept compiled."""


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16 itself."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def settings(options: RuntimeOptions, precision: str) -> dict[str, Any]:
    """How models are compiled: as many threads as cores, in at least two streams; all overridable.

    On two cores two streams of one thread took a fifth less CPU for a picture than one stream of two,
    since no thread waits for another. Threads are not pinned: several models and the server's own
    threads share the cores, and pinned ones queued up behind each other.
    """
    threads = options.threads or machine.cores()
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",  # int8 is in the model itself
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": options.streams or min(threads, max(2, threads // 2)),
        "ENABLE_CPU_PINNING": False,
    }


def own_rows(operations: Collection[str], precision: str) -> tuple[int, ...]:
    """Numbers of rows to compile for exactly, the last being worth merging up to; empty: compile for any number.

    A program that takes any number costs more for each, again whenever the number changes, and several
    times the memory: MobileNetV2 took 6.5 ms of CPU for one picture instead of 5.9 in float32, some 2 ms more in
    a run that followed one of another size, and 79 MB instead of 44 once it had seen four rows. Four rows
    at once save nothing in float32, where one picture keeps a core busy, and a third in int8. Networks that
    do not convolve mostly read weights, which many rows share.
    """
    if _CONVOLUTIONS.isdisjoint(operations):
        return ()
    return (1,) if precision == "f32" else (1, 4)


class BeyondThirtyTwoBits(OutOfRange):
    """A value that OpenVINO would cut short."""


class OpenVinoSignature:
    """One signature, compiled. Its owner sees to it that nothing runs while it is closed."""

    def __init__(
        self,
        bundle: Bundle,
        signature: Signature,
        config: Mapping[str, Any],
        read: Read = openvino_conversion.convert,
        rows: Sequence[int] = (),
    ) -> None:
        """Convert and compile.

        Args:
            bundle: the version.
            signature: which of its signatures.
            config: from `settings`.
            read: where the OpenVINO model comes from.
            rows: from `own_rows`, if the answer to each row is known not to depend on the others.

        Raises:
            NotConvertible: operations, types or names that OpenVINO does not have.
            DataLoss: the version's files are damaged.
        """
        self._signature = signature
        self._config = config
        again = functools.partial(_converted_again, bundle.folder, bundle.tags, bundle.stamp, signature, read)
        self._source = Source(read(bundle, signature), again)
        self._narrowed = self._source.get().narrowed
        self._shapes = Shapes(self._source)
        self._lock = threading.Lock()
        self._variants: OrderedDict[tuple[int, ...], Program] = OrderedDict()
        self._exact = self._compiled_for(rows)
        any_rows = not self._exact and None not in self._shapes.declared
        self._program = self._compiled(self._source.get()) if any_rows else None
        self.best_rows = max(rows, default=MANY)
        """See LoadedModel.best_rows."""
        self.parallel = max((program.parallel for program in self._programs()), default=1)
        self._warm()
        if self._shapes.settled:
            self._source.forget()

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
        self._variants.clear()
        self._exact.clear()
        del self._program, self._source, self._shapes

    def _programs(self) -> list[Program]:
        return [*self._exact.values(), *([self._program] if self._program else [])]

    def _program_for(self, sent: tuple[Shape, ...]) -> Program:
        """The compiled model that takes these shapes; one of their ranks is compiled if there is none."""
        self._shapes.admit(sent)
        if self._program is not None and self._shapes.fit(sent):
            return self._program
        return self._variant(tuple(map(len, sent)))

    def _compiled_for(self, rows: Sequence[int]) -> dict[tuple[Shape, ...], Program]:
        """Programs for exactly so many rows, most rows first; empty unless nothing but their number varies."""
        found: dict[tuple[Shape, ...], Program] = {}
        declared = [shape or () for shape in self._shapes.declared]
        if not declared or any(shape[:1] != (-1,) or -1 in shape[1:] for shape in declared):
            return found
        for count in sorted(rows, reverse=True):
            shapes = tuple((count, *shape[1:]) for shape in declared)
            converted = self._source.get()
            exact = replace(converted, model=converted.model.clone())
            exact.reshape(exact.model, shapes)
            found[shapes] = self._compiled(exact)
        return found

    def _in_pieces(self, arrays: Sequence[NDArray[Any]], aliases: Sequence[str]) -> dict[str, NDArray[Any]]:
        """A request of some rows as runs of the numbers that were compiled for."""
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
                    self._variants[ranks] = self._compiled(anything)
                except (RuntimeError, NotConvertible) as error:
                    raise BadInput(f"The graph cannot take inputs of ranks {list(ranks)}: {reason(error)}") from error
            self._variants.move_to_end(ranks)
            if len(self._variants) > _MOST_VARIANTS:
                self._variants.popitem(last=False)
            return self._variants[ranks]

    def _compiled(self, converted: Converted) -> Program:
        try:
            compiled = core().compile_model(converted.model, "CPU", dict(self._config))
        except RuntimeError as error:
            raise NotConvertible(reason(error)) from error
        return Program(openvino(), compiled, converted.inputs, converted.outputs)

    def _warm(self) -> None:
        """Zeros through every infer request; a graph that refuses zeros is none the worse."""
        types = [dtypes.numpy_dtype(spec.data_type) for spec in self._signature.inputs.values()]
        one = tuple(tuple(max(size, 1) for size in shape or ()) for shape in self._shapes.declared)
        for shapes, program in (self._exact or ({one: self._program} if self._program else {})).items():
            arrays = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, types, strict=True)]
            try:
                self._shapes.admit(shapes)
                program.warm(arrays)
            except ServingError:
                return


def _converted_again(
    folder: Path, tags: frozenset[str], stamp: tuple[int, ...], signature: Signature, read: Read
) -> Converted:
    bundle = saved_model.read(folder, tags)
    if bundle.stamp != stamp:
        raise Aborted(f"version {folder.name} was replaced on disk since it was loaded")
    return read(bundle, signature)


def _within_32_bits(alias: str, array: NDArray[Any]) -> None:
    limits = np.iinfo(np.int32)
    if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
        raise BeyondThirtyTwoBits(
            f"{alias} holds values beyond 32 bits, which only the TensorFlow runtime computes with"
        )
