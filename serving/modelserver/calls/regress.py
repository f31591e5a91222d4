"""Regress: examples in, one number for each, out of a signature of the tf.Example kind.

Its neighbors are classify.py and multi.py; examples.py is what they share.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.modelserver.calls.call import Run
from serving.modelserver.calls.examples import (
    INPUTS,
    OUTPUTS,
    ReadExamples,
    check_method_name,
    described,
    shape_text,
    signature_of,
    type_name,
)
from serving.modelserver.calls.predict import REGRESS_METHOD
from serving.modelserver.runtimes.protocol import LoadedModel, Signature

Array = NDArray[Any]


def on(
    model: LoadedModel,
    run: Run,
    signature: str,
    read_examples: ReadExamples,
    *,
    check_method: bool = False,
) -> Array:
    """Regress on a loaded version: float32 [n], in the order of the examples.

    Raises:
        BadInput: no such signature, one that is no regression, no examples, or an answer of a wrong shape.
        ServingError: what the run reports.
    """
    chosen = signature_of(model, signature)
    if check_method:
        check_method_name(chosen, "regression", REGRESS_METHOD)
    wanted = outputs_of(chosen)
    examples = read_examples()
    return checked(run(chosen.name, {INPUTS: examples}, wanted), len(examples))


def outputs_of(signature: Signature) -> Sequence[str]:
    """The outputs to run for, if the signature is a regression."""
    if len(signature.inputs) != 1:
        raise BadInput("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise BadInput("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise BadInput(f"No regression inputs found in SignatureDef: {described(signature)}")
    if OUTPUTS not in signature.outputs:
        raise BadInput(f"No regression outputs found in SignatureDef: {described(signature)}")
    return [OUTPUTS]


def checked(outputs: dict[str, Array], count: int) -> Array:
    """The output of a run as one number for each of `count` examples.

    Raises:
        BadInput: a shape or type that is no regression.
    """
    values = outputs[OUTPUTS]
    if values.ndim != 1 and values.shape[1:] != (1,):
        raise BadInput(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape_text(values)}"
        )
    if len(values) != count:
        raise BadInput(f"Input batch size did not match output batch size: {count} vs. {len(values)}")
    if values.dtype != np.float32:
        raise BadInput(f"Expected output Tensor of DT_FLOAT.  Got: {type_name(values.dtype)}")
    return values.reshape(-1)
