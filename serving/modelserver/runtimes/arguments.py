"""Hold the arguments of a run to the signature: dtypes of the inputs, names of the outputs, in TensorFlow's words."""

from collections.abc import Collection
from typing import Any

from numpy.typing import NDArray

from serving.errors import BadInput
from serving.modelserver.runtimes.protocol import Signature, Tensors
from serving.wire import dtypes


def check(signature: Signature, inputs: Tensors) -> None:
    """Refuse a dtype that is not the signature's; nothing is ever cast.

    Raises:
        BadInput: naming both types, with TensorFlow's text.
    """
    for place, (alias, spec) in enumerate(signature.inputs.items()):
        sent = dtypes.data_type(array_of(inputs, alias).dtype)
        if sent != spec.data_type:
            wanted, given = dtypes.dtype_name(spec.data_type), dtypes.dtype_name(sent)
            raise BadInput(f"Expects arg[{place}] to be {wanted} but {given} is provided")


def array_of(inputs: Tensors, alias: str) -> NDArray[Any]:
    """The input of that alias.

    Raises:
        BadInput: it is not there.
    """
    try:
        return inputs[alias]
    except KeyError:
        raise BadInput(f"Signature input alias: {alias} not found in request") from None


def wanted(signature: Signature, outputs: Collection[str] | None) -> list[str]:
    """The aliases to compute: the named ones, or all.

    Raises:
        BadInput: an alias that the signature does not have.
    """
    for alias in outputs or ():
        if alias not in signature.outputs:
            raise BadInput(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{','.join(signature.outputs)}}}."
            )
    return list(outputs) if outputs else list(signature.outputs)
