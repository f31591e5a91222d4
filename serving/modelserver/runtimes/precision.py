"""Which precision a version is served in: what was asked, what its card allows, what this CPU has."""

import logging
from typing import Literal

from serving.card import ModelCard
from serving.modelserver.runtimes import machine, on_openvino
from serving.modelserver.runtimes.protocol import Precision

_LOG = logging.getLogger(__name__)

Settled = Literal["f32", "bf16", "int8"]
_QUICK: tuple[Settled, ...] = ("bf16", "int8")
"""In the order in which auto prefers them."""
_MAKE_INT8 = "train or import it again with --int8, which writes and measures that form"


def settled_precision(asked: Precision, card: ModelCard | None, *, imitate: bool = False) -> Settled:
    """What `--precision` comes to for one version on this CPU.

    auto takes bfloat16, else int8, where the CPU has it and the card allows it; a card that does not
    allow a precision is never overruled. Where both could be had, int8 was no faster (on a CPU with AMX).
    """
    if asked == "auto":
        allowed = card.allowed_precisions if card is not None else ()
        return next((one for one in _QUICK if one in allowed and _has(one)), "f32")
    if asked == "f32":
        return "f32"
    if refusal := _refusal(asked, card, imitate):
        name = card.name if card else "A version"
        _LOG.warning("%s is served in f32 although %s was asked for: %s", name, asked, refusal)
        return "f32"
    return asked


def _refusal(asked: Settled, card: ModelCard | None, imitate: bool) -> str:
    """Why a version is not served in the asked precision; empty if it is."""
    if card is None and asked == "int8":
        return "it has no card, which would say that its int8 form was measured"
    if card is not None and asked not in card.allowed_precisions:
        return "its card does not allow it" + (f" ({_MAKE_INT8})" if asked == "int8" else "")
    return "" if imitate or _has(asked) else "this CPU does not have it"


def _has(precision: Settled) -> bool:
    return on_openvino.has_bfloat16() if precision == "bf16" else machine.multiplies_int8()
