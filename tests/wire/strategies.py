"""What the property tests of this folder draw: arrays of every type, and bytes that were damaged."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from serving.wire.dtypes import BFLOAT16, KINDS, STRING

bounded = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
"""Applied to every property test here: the same examples each time, and few enough to run always."""

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays(draw: st.DrawFn, data_types: Iterable[int] = tuple(KINDS)) -> NDArray[Any]:
    """An array of one of the data types with any bit patterns, infinities and NaNs included."""
    data_type = draw(st.sampled_from(sorted(data_types)))
    shape = draw(SHAPES)
    if data_type == STRING:
        return strings(draw(st.lists(st.binary(max_size=9), min_size=size(shape), max_size=size(shape))), shape)
    if data_type == BFLOAT16:
        return draw(hnp.arrays(np.uint16, shape)).view(KINDS[BFLOAT16].dtype)
    return draw(hnp.arrays(KINDS[data_type].dtype, shape))


def size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def strings(values: list[bytes], shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array.reshape(shape)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """The same type, shape and bits; any two NaNs are equal."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind == "O":
        return one.ravel().tolist() == other.ravel().tolist()
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    if one.dtype.kind in "fcV":
        return bool(np.array_equal(one.astype(wide), other.astype(wide), equal_nan=True))
    return bool((one == other).all())


@st.composite
def damaged(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """A text or message with a piece cut out, put in twice, or replaced by other bytes."""
    content = draw(originals)
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 12)))
    return content[:start] + draw(st.binary(max_size=6) | st.just(content[start:end] * 2)) + content[end:]
