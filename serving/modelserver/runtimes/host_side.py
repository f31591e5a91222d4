"""Signatures of a carded version that need no runtime of their own: prepared here, computed by another signature.

Text becomes ids for `prepared`, pictures become pixels for `serving_default`, the card is read from
its file. The preparation is the one that the gateway and training use; this room only stacks it up.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.card import ImageInput, ModelCard, TextInput
from serving.errors import BadInput, ServingError, TooMuchToProcess
from serving.modelserver.runtimes import arguments
from serving.modelserver.runtimes.protocol import Signature, Tensors
from serving.preprocess import image, text
from serving.wire import dtypes

MOST_PIXEL_BYTES = 256 * 2**20
"""Decoded pictures of one call: a small request can hold very many tiny files."""

Runner = Callable[[Tensors, Collection[str] | None], dict[str, NDArray[Any]]]
"""LoadedModel.run for one signature."""


def runners(card: ModelCard, signatures: Mapping[str, Signature], computed: Mapping[str, Runner]) -> dict[str, Runner]:
    """What can be answered here, by signature name.

    Args:
        card: says which signature plays which part.
        signatures: of the version.
        computed: those that a runtime answers.
    """
    by_role = {role: signatures[name] for role, name in card.signatures.items() if name in signatures}
    made: dict[str, Runner] = {}
    if _takes(by_role.get("card"), None) and _gives_string(by_role["card"]):
        made[by_role["card"].name] = _card(by_role["card"], card)
    default, encoded, prepared = (by_role.get(role) for role in ("default", "encoded", "prepared"))
    if isinstance(card.input, ImageInput) and default and default.name in computed and _takes(encoded, dtypes.STRING):
        assert encoded
        made[encoded.name] = _encoded(encoded, _sole(default), card.input, computed[default.name])
    if isinstance(card.input, TextInput) and prepared and prepared.name in computed:
        made[prepared.name] = _prepared(prepared, card.input, computed[prepared.name])
        if default and _takes(default, dtypes.STRING):
            made[default.name] = _text(default, _sole(prepared), card.input, computed[prepared.name])
    return made


def _takes(signature: Signature | None, data_type: int | None) -> bool:
    """Whether there is a signature with one input, of this type."""
    if signature is None or len(signature.inputs) != 1:
        return False
    return data_type in (None, signature.inputs[_sole(signature)].data_type)


def _gives_string(signature: Signature) -> bool:
    return [spec.data_type for spec in signature.outputs.values()] == [dtypes.STRING]


def _sole(signature: Signature) -> str:
    return next(iter(signature.inputs))


def _card(signature: Signature, card: ModelCard) -> Runner:
    """The document for every element of the request, as the graph has it: without checksums of the graph itself."""
    document = dataclasses.replace(card, files={}).to_json().encode()
    asked, alias = _sole(signature), next(iter(signature.outputs))

    def run(inputs: Tensors, outputs: Collection[str] | None) -> dict[str, NDArray[Any]]:
        arguments.check(signature, inputs)
        arguments.wanted(signature, outputs)
        return {alias: np.full(inputs[asked].shape, document, np.object_)}

    return run


def _encoded(signature: Signature, pixels: str, spec: ImageInput, compute: Runner) -> Runner:
    """Whole picture files, decoded here."""
    asked, size = _sole(signature), spec.height * spec.width * spec.channels

    def run(inputs: Tensors, outputs: Collection[str] | None) -> dict[str, NDArray[Any]]:
        arguments.check(signature, inputs)
        files = _row_of(inputs, asked)
        if len(files) * size > MOST_PIXEL_BYTES:
            most = MOST_PIXEL_BYTES // size
            raise TooMuchToProcess(
                f"{asked} holds {len(files)} pictures, at most {most} are taken: send several requests"
            )
        batch = np.empty((len(files), spec.height, spec.width, spec.channels), np.uint8)
        for place, data in enumerate(files):
            try:
                batch[place] = image.to_pixels(data, spec)
            except ServingError as error:
                raise type(error)(f"{asked}[{place}]: {error.message}") from error
        return compute({pixels: batch}, outputs)

    return run


def _text(signature: Signature, ids: str, spec: TextInput, compute: Runner) -> Runner:
    """Whole texts, hashed here."""
    asked = _sole(signature)

    def run(inputs: Tensors, outputs: Collection[str] | None) -> dict[str, NDArray[Any]]:
        arguments.check(signature, inputs)
        return compute({ids: text.to_batch(_row_of(inputs, asked), spec)}, outputs)

    return run


def _prepared(signature: Signature, spec: TextInput, compute: Runner) -> Runner:
    """Ids, held to the size of the table: OpenVINO takes an id past its end for a zero."""
    asked = _sole(signature)

    def run(inputs: Tensors, outputs: Collection[str] | None) -> dict[str, NDArray[Any]]:
        arguments.check(signature, inputs)
        ids = inputs[asked]
        if ids.size and not (ids.min() >= 0 and ids.max() <= 1 << spec.bits):
            raise BadInput(f"{asked} holds an id outside [0, {1 << spec.bits}]")
        return compute(inputs, outputs)

    return run


def _row_of(inputs: Tensors, alias: str) -> list[bytes]:
    """A vector of strings.

    Raises:
        BadInput: any other rank.
    """
    strings = inputs[alias]
    if strings.ndim != 1:
        raise BadInput(f"{alias} must be a list of strings, shape [N]; this one has shape {list(strings.shape)}")
    return [item.encode() if isinstance(item, str) else bytes(item) for item in strings]
