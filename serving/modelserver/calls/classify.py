"""Classify: examples in, for each a list of labels with scores, out of a signature of the tf.Example kind.

Its neighbors are regress.py and multi.py; examples.py is what they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.modelserver.calls.call import Run
from serving.modelserver.calls.examples import (
    INPUTS,
    ReadExamples,
    check_method_name,
    described,
    shape_text,
    signature_of,
    type_name,
)
from serving.modelserver.calls.predict import CLASSIFY_METHOD
from serving.modelserver.runtimes.protocol import LoadedModel, Signature

Array = NDArray[Any]
CLASSES, SCORES = "classes", "scores"


@dataclass(frozen=True, slots=True)
class Classifications:
    """What a classifier said of n examples; one of the two may be missing."""

    classes: Array | None
    """bytes [n, k]."""
    scores: Array | None
    """float32 [n, k]."""


def on(
    model: LoadedModel,
    run: Run,
    signature: str,
    read_examples: ReadExamples,
    *,
    check_method: bool = False,
) -> Classifications:
    """Classify on a loaded version.

    Raises:
        BadInput: no such signature, one that is no classifier, no examples, or an answer of a wrong shape.
        ServingError: what the run reports.
    """
    chosen = signature_of(model, signature)
    if check_method:
        check_method_name(chosen, "classification", CLASSIFY_METHOD)
    wanted = outputs_of(chosen)
    examples = read_examples()
    return checked(run(chosen.name, {INPUTS: examples}, wanted), len(examples))


def outputs_of(signature: Signature) -> Sequence[str]:
    """The outputs to run for, if the signature is a classifier."""
    if len(signature.inputs) != 1:
        raise BadInput("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise BadInput(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise BadInput(f"No classification inputs found in SignatureDef: {described(signature)}")
    found = [alias for alias in (CLASSES, SCORES) if alias in signature.outputs]
    if not found:
        raise BadInput(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {described(signature)}"
        )
    return found


def checked(outputs: dict[str, Array], count: int) -> Classifications:
    """The outputs of a run as classifications of `count` examples.

    Raises:
        BadInput: shapes or types that are no classification.
    """
    classes, scores = outputs.get(CLASSES), outputs.get(SCORES)
    for array in (classes, scores):
        if array is not None and array.ndim != 2:
            raise BadInput(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    _check(classes, CLASSES, np.dtype(np.object_), count)
    _check(scores, SCORES, np.dtype(np.float32), count)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise BadInput(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    return Classifications(classes, scores)


def _check(array: Array | None, alias: str, dtype: np.dtype[Any], count: int) -> None:
    if array is None:
        return
    if array.dtype != dtype:
        raise BadInput(f"Expected {alias} Tensor of {type_name(dtype)}. Got: {type_name(array.dtype)}")
    if len(array) != count:
        raise BadInput(f"Expected {alias} output batch size of {count}. Got: {len(array)}")
