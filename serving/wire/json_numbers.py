"""Numbers as TensorFlow Serving writes them into JSON.

Floats have six significant digits if these read back to the same value, else as many as their width ever needs
(9 for float, 17 for double); always with a point or an exponent, so that a reader sees the type.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_DIGITS = {np.dtype(np.float32): 9, np.dtype(np.float64): 17}


def number_texts(values: NDArray[Any]) -> list[str]:
    """The JSON text of every element of an array of numbers or bools, in row-major order.

    float16 and bfloat16 are written as the float32 of the same value.
    """
    flat = values.reshape(-1)
    if flat.dtype.kind in "iu":
        return list(map(str, flat.tolist()))
    if flat.dtype.kind == "b":
        return ["true" if value else "false" for value in flat.tolist()]
    return float_texts(flat.astype(np.float64 if flat.dtype.itemsize == 8 else np.float32, copy=False))


def float_texts(values: NDArray[Any]) -> list[str]:
    """The JSON text of every number of a flat float32 or float64 array.

    The work is done for all numbers at once: one formatting call, one parsing call, one comparison.
    """
    numbers = values.tolist()
    texts = ("%.6g " * len(numbers) % tuple(numbers)).split()
    with np.errstate(over="ignore"):
        back = np.fromiter(map(float, texts), np.float64, len(texts)).astype(values.dtype)
    digits = _MOST_DIGITS[values.dtype]
    for index in np.flatnonzero(back != values).tolist():
        texts[index] = f"{numbers[index]:.{digits}g}"
    return [text if "." in text or "e" in text else _with_point(text) for text in texts]


def double_text(value: float) -> str:
    """The JSON text of one double."""
    text = f"{value:.6g}"
    if float(text) != value:
        text = f"{value:.17g}"
    return text if "." in text or "e" in text else _with_point(text)


def _with_point(text: str) -> str:
    number = float(text)
    if math.isfinite(number):
        return text + ".0"
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
