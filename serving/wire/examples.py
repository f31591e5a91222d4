"""The tf.Examples of an Input as the string vector that a graph parses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.wire.protos import Input


def serialized_examples(message: Input) -> NDArray[Any]:
    """Every example as bytes, an object array of shape [n].

    With a context each element is the serialized context followed by the serialized example, which is
    a merge: the context's features stand in every example, and the example's own value wins.

    Raises:
        BadInput: there are no examples; a context alone does not count.
    """
    kind = message.WhichOneof("kind")
    source = getattr(message, kind) if kind else None
    if source is None or not source.examples:
        raise BadInput("Input is empty.")
    context = source.context.SerializeToString() if kind == "example_list_with_context" else b""
    vector = np.empty(len(source.examples), np.object_)
    vector[:] = [context + example.SerializeToString() for example in source.examples]
    return vector
