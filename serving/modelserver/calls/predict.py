"""Predict: named tensors in, named tensors out, checked against the signature before anything runs.

Every door leads here: gRPC, REST, Open Inference Protocol and callers in the same process. What a
door receives is turned into arrays by the `read` it hands in, only once the names are known to fit.
This room knows no protocol message and no HTTP.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from serving.errors import BadInput, FailedPrecondition, ServingError
from serving.modelserver.calls.call import Call, Run
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, LoadedModel, Signature

Array = NDArray[Any]
Read = Callable[[str, Any], Array]

PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"


def as_it_is(_alias: str, array: Array) -> Array:
    """The `read` of callers that have arrays already."""
    return array


def run(
    manager: ModelManager,
    name: str,
    version: int | None,
    signature: str,
    inputs: Mapping[str, Array],
    deadline: float | None = None,
    *,
    label: str | None = None,
    output_filter: Sequence[str] = (),
) -> tuple[int, dict[str, Array]]:
    """Predict for a caller in this process.

    Args:
        manager: who holds the models.
        name: the model.
        version: None for the highest that is available.
        signature: empty for serving_default.
        inputs: alias to array, dtypes exactly the signature's; strings are object arrays of bytes.
        deadline: in time.monotonic() seconds.
        label: instead of a version.
        output_filter: aliases of the outputs wanted; empty for all.

    Returns:
        The version that answered, and alias to array.

    Raises:
        ServingError: NotFound, FailedPrecondition (unknown signature), BadInput, DeadlineExceeded,
            Overloaded, Unavailable, Unimplemented, or what the runtime reports.
    """
    with (
        Call(manager.metrics, "Predict", deadline, model=name) as call,
        manager.acquire(name, version=version, label=label) as served,
    ):
        return served.version, on(served.model, call.runs(served), signature, inputs, output_filter=output_filter)


def on(
    model: LoadedModel,
    run: Run,
    signature: str,
    inputs: Mapping[str, Any],
    *,
    output_filter: Sequence[str] = (),
    read: Read = as_it_is,
    check_method: bool = False,
) -> dict[str, Array]:
    """Predict on a loaded version; see `run`."""
    chosen = signature_of(model, signature)
    if check_method:
        check_method_name(chosen)
    feeds = feeds_of(chosen, inputs, read)
    return run(chosen.name, feeds, wanted_outputs(chosen, output_filter))


def signature_of(model: LoadedModel, name: str) -> Signature:
    """The signature of that name; empty means serving_default.

    Raises:
        FailedPrecondition: there is none.
    """
    wanted = name or DEFAULT_SIGNATURE
    found = model.signatures.get(wanted)
    if found is None:
        raise FailedPrecondition(f'Serving signature key "{wanted}" not found.')
    return found


def check_method_name(signature: Signature) -> None:
    """Hold a signature to the three known method names, where the server was told to."""
    known = (PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)
    if signature.method_name not in known:
        raise ServingError(
            f"Expected prediction signature method_name to be one of {{{', '.join(known)}}}. "
            f"Was: {signature.method_name}"
        )


def feeds_of(signature: Signature, inputs: Mapping[str, Any], read: Read = as_it_is) -> dict[str, Array]:
    """The arrays to run with: names checked, values read, defaults filled in.

    Raises:
        BadInput: too many, too few or wrong names, or a value that `read` refuses.
    """
    if len(inputs) != len(signature.inputs) or not all(alias in signature.inputs for alias in inputs):
        _check_names(signature, inputs)
    feeds = {alias: read(alias, value) for alias, value in inputs.items()}
    if len(feeds) < len(signature.inputs):
        feeds = {**signature.defaults, **feeds}
    return feeds


def _check_names(signature: Signature, inputs: Mapping[str, Any]) -> None:
    sent, wanted = set(inputs), set(signature.inputs)
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not signature.defaults):
        raise BadInput(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{_joined(sent)}}}) != len({{{_joined(wanted)}}}). Sent extra: {{{_joined(sent - wanted)}}}. "
            f"Missing but required: {{{_joined(wanted - sent - set(signature.defaults))}}}."
        )
    for alias in sorted(wanted - sent - set(signature.defaults)):
        raise BadInput(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in request "
            f"and no default value provided. Inputs expected to be in the set {{{_joined(wanted)}}}."
        )
    if sent - wanted:
        raise BadInput(
            f"Inputs contains invalid name. Used request inputs: {{{_joined(sent & wanted)}}}. "
            f"Sent extra: {{{_joined(sent - wanted)}}}. Inputs expected to be in the set {{{_joined(wanted)}}}."
        )


def wanted_outputs(signature: Signature, output_filter: Sequence[str]) -> Sequence[str] | None:
    """The outputs to compute; None for all.

    Raises:
        BadInput: an alias that the signature does not have, or one that is repeated.
    """
    if not output_filter:
        return None
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise BadInput(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_joined(signature.outputs)}}}."
            )
        if alias in seen:
            raise BadInput(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter)


def _joined(names: Collection[str]) -> str:
    return ",".join(sorted(names))
