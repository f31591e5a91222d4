"""Turn rows of named numbers into the tensor that a tabular model was trained on.

The gateway's JSON and training's CSV files both come through here. Scaling belongs to the model's graph, so
nothing is computed: this room only finds every number and refuses what is none. It knows nothing of HTTP.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving.card import TableInput
from serving.errors import BadInput

Row: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""{"column": number, ...} in any order, or all numbers in the order of the card's columns."""

LARGEST = float(np.finfo(np.float32).max)


def to_row(row: Row | bytes, spec: TableInput) -> NDArray[np.float32]:
    """One row as the model takes it.

    Args:
        row: an object or a list of numbers, or either of them as JSON.
        spec: the columns, from the model's card.

    Returns:
        float32 [len(spec.columns)].

    Raises:
        BadInput: a column is missing, unknown, no number or not finite; the text names it.
    """
    values = _opened(row) if isinstance(row, bytes) else row
    if isinstance(values, Mapping):
        ordered = _by_name(values, spec)
    elif isinstance(values, Sequence) and not isinstance(values, str):
        ordered = _by_place(values, spec)
    else:
        raise BadInput(f"a row is an object or a list of numbers, and this is {_said(values)}")
    numbers = [_number(value, column.name) for value, column in zip(ordered, spec.columns, strict=True)]
    return np.array(numbers, np.float32)


def to_rows(rows: Sequence[Row | bytes], spec: TableInput) -> NDArray[np.float32]:
    """Several rows as float32 [N, len(spec.columns)].

    Raises:
        BadInput: as `to_row`; it names the place of the row, counted from 0.
    """
    batch = np.zeros((len(rows), len(spec.columns)), np.float32)
    for place, row in enumerate(rows):
        try:
            batch[place] = to_row(row, spec)
        except BadInput as error:
            raise BadInput(f"row {place}: {error.message}") from None
    return batch


def _opened(row: bytes) -> Any:
    try:
        return json.loads(row)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the row is not JSON: {error}") from None


def _by_name(row: Mapping[str, Any], spec: TableInput) -> Sequence[Any]:
    names = [column.name for column in spec.columns]
    if missing := [name for name in names if name not in row]:
        raise BadInput(f"column {missing[0]!r} is missing; the columns are {_listed(names)}")
    if len(row) > len(names):
        unknown = next(name for name in row if name not in names)
        raise BadInput(f"there is no column {str(unknown)[:40]!r}; the columns are {_listed(names)}")
    return [row[name] for name in names]


def _by_place(row: Sequence[Any], spec: TableInput) -> Sequence[Any]:
    if len(row) != len(spec.columns):
        names = [column.name for column in spec.columns]
        raise BadInput(f"the row has {len(row)} numbers and the model takes {len(names)}: {_listed(names)}")
    return row


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"column {name!r} must be a number, and it is {_said(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"column {name!r} must be finite, and it is {value}")
    if abs(value) > LARGEST:
        raise BadInput(f"column {name!r} is beyond the largest float32, {LARGEST:.3g}")
    return float(value)


def _said(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return f"the text {value[:40]!r}"
        case Mapping():
            return "an object"
        case Sequence():
            return "a list"
    return f"a {type(value).__name__}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown
