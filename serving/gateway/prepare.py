"""Items into the tensors that a model's card asks for.

Pictures are decoded here with the code that training used; texts travel as they are, since a text
model's own preparation is part of it, but are held to the card's limits first. What is bad is
named by its index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, ModelCard, TableInput, TextInput
from serving.errors import BadInput, DeadlineExceeded, ServingError, TooMuchToProcess
from serving.gateway.bodies import Item
from serving.gateway.problems import BadItem
from serving.preprocess.image import to_pixels
from serving.preprocess.picture_kinds import open_picture
from serving.preprocess.table import to_row
from serving.preprocess.text import hold_words


@dataclass(slots=True)
class Prepared:
    """One batch for the model, and the items that did not make it in."""

    inputs: dict[str, NDArray[Any]]
    rows: list[int]
    """Which item each row of the batch is."""
    failures: dict[int, ServingError] = field(default_factory=dict)
    sides: list[int] = field(default_factory=list)
    """Pixels of the longer side of every good picture, as it came."""


def prepare(items: Sequence[Item], card: ModelCard, deadline: float, *, partial: bool) -> Prepared:
    """Make one batch of all good items.

    Args:
        items: pictures as bytes, texts as str or rows, as the card's task wants them.
        card: of the version that will answer.
        deadline: by `time.monotonic()`; looked at before every item.
        partial: keep failures apart instead of raising the first.

    Returns:
        `image` uint8 [N, height, width, channels], `text` bytes objects [N], or `row` float32 [N, columns].

    Raises:
        BadInput: the only item is bad.
        BadItem: one of several is bad.
        DeadlineExceeded: the time is over.
    """
    ready: list[Any] = []
    found = Prepared({}, [])
    for index, item in enumerate(items):
        if monotonic() >= deadline:
            raise DeadlineExceeded("the time for this request was over before it was prepared", retry_after_s=1)
        try:
            ready.append(_prepared(item, card, found))
            found.rows.append(index)
        except BadInput as error:
            found.failures[index] = error
            if not partial:
                raise (BadItem(error, index) if len(items) > 1 else error) from None
    if ready:
        found.inputs = _batch(ready, card)
    return found


def _prepared(item: Item, card: ModelCard, found: Prepared) -> Any:
    if isinstance(card.input, ImageInput):
        assert isinstance(item, bytes)
        picture = open_picture(item)
        pixels = to_pixels(picture, card.input)
        found.sides.append(max(picture.width, picture.height))
        return pixels
    if isinstance(card.input, TableInput):
        assert isinstance(item, dict | list)
        return to_row(item, card.input)
    assert isinstance(item, str)
    return _checked(item, card.input)


def _batch(ready: list[Any], card: ModelCard) -> dict[str, NDArray[Any]]:
    if isinstance(card.input, ImageInput):
        return {"image": ready[0][None] if len(ready) == 1 else np.stack(ready)}
    if isinstance(card.input, TableInput):
        return {"row": np.stack(ready)}
    return {"text": np.array(ready, dtype=object)}


def _checked(text: str, spec: TextInput) -> bytes:
    """UTF-8 within the card's limits, with at least one word in it."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > spec.max_bytes:
        raise TooMuchToProcess(f"the text has {len(data)} bytes in UTF-8, at most {spec.max_bytes} are taken; cut it")
    hold_words(data)
    return data
