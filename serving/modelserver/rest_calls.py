"""TensorFlow Serving's REST calls, from a whole body to a whole answer; runs on worker threads.

rest_app.py brings whole requests; `wire/rest_json.py` reads and writes the JSON, `calls/`
does the rest. Parsing comes before the model is looked up, so bad JSON is told first.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from serving.errors import BadInput, FailedPrecondition
from serving.modelserver import messages
from serving.modelserver.calls import classify, metadata, predict, regress, status
from serving.modelserver.calls.call import Call
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.lifecycle.versions import ServedVersion
from serving.modelserver.rest_app import Reply, Request
from serving.modelserver.rest_paths import Target, is_v1, model_name, target
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, Signature
from serving.wire import rest_json
from serving.wire.examples import serialized_examples
from serving.wire.protos import ClassificationResult, RegressionResult


class RestCalls:
    """What answers below `/v1/`."""

    def __init__(self, manager: ModelManager, *, check_method_names: bool = False) -> None:
        self._manager, self._check_methods = manager, check_method_names

    def owns(self, path: str) -> bool:
        """Everything below `/v1/`."""
        return is_v1(path)

    def runs_models(self, method: str) -> bool:
        """A POST does, if it is anything."""
        return method == "POST"

    def at_once(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """What a browser asks before it asks: any web page may call."""
        if method != "OPTIONS":
            return None
        with Call(self._manager.metrics, "", door="REST", model=model_name(path)):
            origin = headers.get(b"origin", b"")
            if b"http://" in origin or b"https://" in origin:
                return Reply(b"")
            raise BadInput(f"Malformed request: {method} {path}")

    def answer(self, request: Request) -> Reply:
        """One answer; raises ServingError with the text for the caller."""
        verb = request.path.rpartition(":")[2].lower() if request.method == "POST" else ""
        known = verb if verb in _CAPITALIZED else ""
        with Call(
            self._manager.metrics,
            _CAPITALIZED.get(known, ""),
            request.deadline,
            door="REST",
            model=model_name(request.path),
            latency_api=known,
        ) as call:
            return Reply(self._answer(target(request.method, request.path), request.body, call))

    def _answer(self, wanted: Target, body: bytes, call: Call) -> bytes:
        match wanted.verb:
            case "predict":
                return self._predict(wanted, body, call)
            case "classify":
                return self._of_examples(wanted, body, call, classify.on, _classify_answer)
            case "regress":
                return self._of_examples(wanted, body, call, regress.on, _regress_answer)
            case "metadata":
                return self._metadata(wanted)
            case "status":
                found = status.run(self._manager, wanted.name, wanted.version)
                return rest_json.status_answer(messages.status_message(found))

    def _predict(self, wanted: Target, body: bytes, call: Call) -> bytes:
        document = rest_json.parse(body)
        name = rest_json.signature_name(document)
        with self._held(wanted) as served:
            signature = _signature(served, name)
            data_types = {alias: spec.data_type for alias, spec in signature.inputs.items()}
            inputs, form = rest_json.predict_inputs(document, data_types, name)
            outputs = predict.on(
                served.model, call.runs(served), signature.name, inputs, check_method=self._check_methods
            )
        return rest_json.predict_answer(outputs, form)

    def _of_examples(
        self, wanted: Target, body: bytes, call: Call, on: Callable[..., Any], write: Callable[[Any], bytes]
    ) -> bytes:
        document = rest_json.parse(body)
        name = rest_json.signature_name(document)
        examples = rest_json.examples(document)
        with self._held(wanted) as served:
            found = on(
                served.model,
                call.runs(served),
                name,
                partial(serialized_examples, examples),
                check_method=self._check_methods,
            )
        return write(found)

    def _metadata(self, wanted: Target) -> bytes:
        version, found = metadata.run(self._manager, wanted.name, wanted.version, wanted.label)
        return rest_json.metadata_answer(messages.metadata_message(wanted.name, version, found))

    def _held(self, wanted: Target) -> Any:
        return self._manager.acquire(wanted.name, version=wanted.version, label=wanted.label)


_CAPITALIZED: Mapping[str, str] = {"predict": "Predict", "classify": "Classify", "regress": "Regress"}


def _signature(served: ServedVersion, name: str) -> Signature:
    try:
        return predict.signature_of(served.model, name)
    except FailedPrecondition:
        raise BadInput(f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in signature def') from None


def _classify_answer(found: classify.Classifications) -> bytes:
    result = ClassificationResult()
    messages.fill_classifications(result, found)
    return rest_json.classify_answer(result)


def _regress_answer(found: predict.Array) -> bytes:
    result = RegressionResult()
    messages.fill_regressions(result, found)
    return rest_json.regress_answer(result)
