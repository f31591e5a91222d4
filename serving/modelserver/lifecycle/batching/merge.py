"""Rows of several requests into one run's arrays, and the answer's rows back to their requests.

Pure functions over arrays; adaptive.py and scheduled.py decide what is put together.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput, FailedPrecondition
from serving.modelserver.runtimes.protocol import Tensors

Array = NDArray[Any]


def rows_of(inputs: Tensors) -> int | None:
    """The rows of a request, or None if its inputs have no first dimension in common."""
    sizes = {array.shape[0] if array.ndim else None for array in inputs.values()}
    return sizes.pop() if len(sizes) == 1 else None


def form_of(inputs: Tensors) -> Hashable:
    """Equal for requests whose rows fit under each other as they are."""
    return frozenset((alias, array.dtype, array.shape[1:]) for alias, array in inputs.items())


def join(requests: Sequence[Tensors]) -> Mapping[str, Array]:
    """The rows of all requests, in their order; a single request is passed on as it is."""
    if len(requests) == 1:
        return requests[0]
    return {alias: np.concatenate([request[alias] for request in requests]) for alias in requests[0]}


def latest(deadlines: Iterable[float | None]) -> float | None:
    """Until when a run of several requests may take: the last of their deadlines; None if one has none.

    Source: tensorflow_serving/batching/batching_session.cc.
    """
    known = list(deadlines)
    return max((deadline for deadline in known if deadline is not None), default=None) if None not in known else None


def split(outputs: Mapping[str, Array], sizes: Sequence[int]) -> Iterator[dict[str, Array]]:
    """Each request's rows of the outputs; surplus rows at the end are dropped.

    Source: the texts are those of tensorflow_serving's batching session.
    """
    ends = list(accumulate(sizes))
    starts = [end - size for end, size in zip(ends, sizes, strict=True)]
    return (
        {alias: array[start:end] for alias, array in outputs.items()} for start, end in zip(starts, ends, strict=True)
    )


def check_rows(outputs: Mapping[str, Array], rows: int) -> None:
    """Hold the outputs of a run to its number of rows.

    Raises:
        FailedPrecondition: an output has no rows, or not so many.
    """
    for array in outputs.values():
        if not array.ndim:
            raise FailedPrecondition("Batched output tensor has 0 dimensions")
        if array.shape[0] != rows:
            raise FailedPrecondition(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of "
                "the input tensors"
            )


def pad_widths(requests: Sequence[Tensors]) -> list[dict[str, Array]]:
    """Bring all dimensions but the first to the largest in the batch, filled with each tensor's first element.

    Raises:
        BadInput: a tensor without elements, or ranks that differ.
    """
    padded: list[dict[str, Array]] = [{} for _ in requests]
    for alias in requests[0]:
        arrays = [request[alias] for request in requests]
        if len({array.ndim for array in arrays}) > 1:
            raise BadInput(f"Tensors with name '{alias}' from different tasks should have the same rank")
        width = tuple(np.max([array.shape[1:] for array in arrays], axis=0, initial=0)) if arrays[0].ndim > 1 else ()
        for target, array in zip(padded, arrays, strict=True):
            target[alias] = _widened(array, width)
    return padded


def _widened(array: Array, width: tuple[int, ...]) -> Array:
    if array.shape[1:] == width:
        return array
    if not array.size:
        raise BadInput("Got empty tensor in batch of non-empty tensors.")
    wide = np.full((len(array), *width), array.flat[0], array.dtype)
    wide[tuple(slice(size) for size in array.shape)] = array
    return wide


def pad_rows(inputs: Mapping[str, Array], rows: int) -> Mapping[str, Array]:
    """Fill up to so many rows with copies of the last one."""
    missing = rows - (rows_of(inputs) or 0)
    if missing <= 0:
        return inputs
    return {alias: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) for alias, array in inputs.items()}
