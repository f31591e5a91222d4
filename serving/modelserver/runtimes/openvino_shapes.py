"""Which shapes a converted graph can take: asked of OpenVINO's shape inference, never of its kernels.

A compiled model with varying dimensions does not always look: given [2, 5], a product with a 4x3
matrix reads past the end. So shapes are admitted here before they get near a compiled model.
"""

import threading
from collections import OrderedDict
from typing import Any

from serving.errors import BadInput
from serving.modelserver.runtimes.openvino_conversion import Converted
from serving.modelserver.runtimes.openvino_program import reason
from serving.modelserver.runtimes.openvino_source import Source

Shape = tuple[int, ...]

_REMEMBERED = 512
"""Admitted sets of shapes that are remembered; asking again costs a millisecond or a few."""

_TRIALS = ((1, (2, 3, 5, 7, 11)), (2, (13, 17, 19, 23, 29)), (7, (31, 37, 41, 43, 47)))
"""First dimension of all inputs, then sizes for the other dimensions that vary, in turn."""


class Shapes:
    """Admits the shapes of a signature's inputs, in the signature's order."""

    def __init__(self, source: Source, settled: tuple[Shape | None, ...] | None = None) -> None:
        """Try a few sizes; if all go through, most requests need no asking later.

        Args:
            source: the converted graph.
            settled: what the signature states, where another process has tried it and all went through.
        """
        self.declared = source.get().declared() if settled is None else settled
        self._source = source
        self._trial: tuple[Converted, Any] | None = None
        self._lock = threading.Lock()
        self._admitted: OrderedDict[tuple[Shape, ...], None] = OrderedDict()
        self.settled = settled is not None or self._try_sizes()
        """Whether requests of the stated form need no asking any more."""
        if self.settled:
            self._trial = None

    def forget_source(self) -> None:
        """Let go of the graph, unless requests may have to be tried on it."""
        if self.settled:
            self._source.forget()

    def fit(self, shapes: tuple[Shape, ...]) -> bool:
        """Whether they are of the form that the signature states."""
        return all(map(_fits, self.declared, shapes))

    def admit(self, shapes: tuple[Shape, ...]) -> None:
        """Return if the graph can take them.

        Raises:
            BadInput: with OpenVINO's account of where they do not fit.
        """
        if self.settled and len({shape[:1] for shape in shapes}) <= 1 and self.fit(shapes):
            return
        with self._lock:
            if shapes in self._admitted:
                self._admitted.move_to_end(shapes)
                return
            self._infer(shapes)
            self._admitted[shapes] = None
            if len(self._admitted) > _REMEMBERED:
                self._admitted.popitem(last=False)

    def _infer(self, shapes: tuple[Shape, ...]) -> None:
        if self._trial is None:
            converted = self._source.get()
            self._trial = converted, converted.model.clone()
        converted, clone = self._trial
        try:
            converted.reshape(clone, shapes)
        except (RuntimeError, TypeError, OverflowError) as error:
            raise BadInput(f"The graph cannot take inputs of shape {_listed(shapes)}: {reason(error)}") from error

    def _try_sizes(self) -> bool:
        """Whether sizes picked at random all went through, so that no size need be asked for later."""
        if any(shape is None for shape in self.declared):
            return False
        for first, others in _TRIALS:
            sizes = iter(others * 8)
            shapes = tuple(
                tuple(size if size >= 0 else first if place == 0 else next(sizes) for place, size in enumerate(shape))
                for shape in self.declared
                if shape is not None
            )
            try:
                self._infer(shapes)
            except BadInput:
                return False
        return True


def _fits(declared: Shape | None, shape: Shape) -> bool:
    return (
        declared is not None
        and len(declared) == len(shape)
        and all(wanted in (-1, size) for wanted, size in zip(declared, shape, strict=True))
    )


def _listed(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
