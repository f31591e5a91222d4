"""How the learning rate moves over a phase: warm-up, then one of five schedules, a pure function of the step.

`phase.py` asks for the rate of every step and hands it to the optimizer, so what stands in the history
and in TensorBoard is what the optimizer used, and a resumed run goes on where it stopped.
"""

import math

from training.learning import Learning


def rate_at(step: int, how: Learning, steps_per_epoch: int) -> float:
    """The learning rate of one step.

    With the highest rate r, decay rate g, w steps of warm-up, t the steps since then, and u = t / (decay_epochs *
    steps_per_epoch), the time in units of the decay:

        warm-up      r (step + 1) / w          linear from zero: Goyal et al. 2017, arXiv:1706.02677, 2.2
        constant     r
        step         r g ** floor(u)           Goyal et al. 2017; Keras' ExponentialDecay with staircase
        exponential  r g ** u                  Keras' ExponentialDecay
        1/t          r / (1 + g u)             Robbins and Monro 1951; Keras' InverseTimeDecay
        cosine       r (1 + cos(pi t / T)) / 2 Loshchilov and Hutter 2017, arXiv:1608.03983, one period;
                                               T: the steps of the phase after the warm-up

    Args:
        step: 0 for the first step of the phase.
        how: the options.
        steps_per_epoch: steps that one epoch has.
    """
    warm = warmup_steps(how, steps_per_epoch)
    if step < warm:
        return how.learning_rate * (step + 1) / warm
    passed = step - warm
    unit = passed / (how.decay_epochs * steps_per_epoch)
    if how.schedule == "step":
        return float(how.learning_rate * how.decay_rate ** math.floor(unit))
    if how.schedule == "exponential":
        return float(how.learning_rate * how.decay_rate**unit)
    if how.schedule == "1/t":
        return how.learning_rate / (1 + how.decay_rate * unit)
    if how.schedule == "cosine":
        whole = max(how.epochs * steps_per_epoch - warm, 1)
        return how.learning_rate * (1 + math.cos(math.pi * min(passed / whole, 1))) / 2
    return how.learning_rate


def warmup_steps(how: Learning, steps_per_epoch: int) -> int:
    """Steps in which the rate rises, whether they were given as steps or as epochs."""
    return how.warmup_steps or round(how.warmup_epochs * steps_per_epoch)
