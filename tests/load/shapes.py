"""Shapes of load: how much of saturation is asked for, when, and where the objectives apply."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch at a steady rate."""

    seconds: float
    share: float
    """Of the rate at saturation."""
    judged: bool = True
    """Whether the objectives apply."""


SHARE = 0.4
"""Of saturation: where the objectives apply."""
NAMES = ("constant", "steps", "spike", "soak")
_USUAL_S: Mapping[str, float] = {"constant": 120, "steps": 180, "spike": 120, "soak": 3600}


def stages(shape: str, seconds: float | None = None, share: float = SHARE) -> Sequence[Stage]:
    """The stretches of a shape.

    Args:
        shape: `constant`; `steps` up to and past saturation; `spike`: one and a half times saturation for a short
            while, calm before and after, of which both calms are judged; `soak`: constant, for an hour.
        seconds: length of all together; None: what is usual for the shape.
        share: of the judged stretches.
    """
    whole = seconds if seconds is not None else _USUAL_S[shape]
    if shape in {"constant", "soak"}:
        return (Stage(whole, share),)
    if shape == "steps":
        shares = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
        return tuple(Stage(whole / len(shares), each, judged=each <= share) for each in shares)
    if shape == "spike":
        calm, peak = 0.35 * whole, 0.15 * whole
        return (
            Stage(calm, share),
            Stage(peak, 1.5, judged=False),
            Stage(peak, share, judged=False),
            Stage(calm, share),
        )
    raise ValueError(f"there is no shape {shape}; there are {', '.join(NAMES)}")


def at(plan: Sequence[Stage], elapsed_s: float) -> Stage | None:
    """The stage at a moment; None when all are over."""
    for stage in plan:
        if elapsed_s < stage.seconds:
            return stage
        elapsed_s -= stage.seconds
    return None
