"""Examples and the signatures that take them: what classify.py, regress.py and multi.py share.

Examples arrive serialized, as a vector of strings; parsing them is the graph's business.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, LoadedModel, Signature
from serving.wire.dtypes import data_type, enum_name

Array = NDArray[Any]
ReadExamples = Callable[[], Array]
"""Gives the serialized examples, an object array of bytes [n]; raises BadInput if there are none."""

INPUTS, OUTPUTS = "inputs", "outputs"


def signature_of(model: LoadedModel, name: str) -> Signature:
    """The signature of that name; empty means serving_default."""
    wanted = name or DEFAULT_SIGNATURE
    found = model.signatures.get(wanted)
    if found is None:
        raise BadInput(f"No signature was found with the name: {wanted}")
    return found


def check_method_name(signature: Signature, kind: str, wanted: str) -> None:
    """Hold a signature to its method name, where the server was told to."""
    if signature.method_name != wanted:
        raise BadInput(f"Expected {kind} signature method_name to be {wanted}. Was: {signature.method_name}")


def described(signature: Signature) -> str:
    """A signature in one line, for a message about what it lacks."""
    return f"{signature.name}({', '.join(sorted(signature.inputs))}) -> {', '.join(sorted(signature.outputs))}"


def shape_text(array: Array) -> str:
    """A shape as TensorFlow prints it: `[3,2]`."""
    return f"[{','.join(map(str, array.shape))}]"


def type_name(dtype: np.dtype[Any]) -> str:
    """A type as TensorFlow names it in full: `DT_FLOAT`."""
    return enum_name(data_type(dtype))
