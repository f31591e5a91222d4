"""TensorFlow Serving's messages to calls and back: what the gRPC methods answer.

grpc_methods.py brings parsed requests and takes responses away; `calls/` does the work on arrays. The
REST door has its own way in (rest_calls.py), Open Inference Protocol too (oip_server.py).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from numpy.typing import NDArray

from serving import memory
from serving.errors import BadInput
from serving.modelserver.calls import classify, metadata, multi, predict, regress, reload, status
from serving.modelserver.calls.call import Call
from serving.modelserver.grpc_methods import Services, Unary
from serving.modelserver.ledger import Held, Ledger
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.lifecycle.versions import ServedVersion
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE
from serving.wire import examples, tensors
from serving.wire.protos import (
    ClassificationRequest,
    ClassificationResponse,
    ClassificationResult,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelSpec,
    MultiInferenceRequest,
    MultiInferenceResponse,
    PredictRequest,
    PredictResponse,
    RegressionRequest,
    RegressionResponse,
    RegressionResult,
    ReloadConfigRequest,
    ReloadConfigResponse,
    SignatureDefMap,
    TensorProto,
)

Array = NDArray[Any]

_SHARE_FOR_FILLS = 32
"""A thirty-second of the memory may be filled in: a tensor, its run and its answer took five times its size."""


def spec_of(request: Any) -> ModelSpec:
    """The model spec of a request.

    Raises:
        BadInput: there is none.
    """
    if not request.HasField("model_spec"):
        raise BadInput("Missing ModelSpec")
    return request.model_spec  # type: ignore[no-any-return]


def version_of(spec: ModelSpec) -> int | None:
    """The version that a spec asks for, if it does."""
    return spec.version.value if spec.WhichOneof("version_choice") == "version" else None


def label_of(spec: ModelSpec) -> str | None:
    """The label that a spec asks for, if it does."""
    return spec.version_label if spec.WhichOneof("version_choice") == "version_label" else None


def read_tensor(room: tensors.Room, alias: str, proto: TensorProto) -> Array:
    """One input of a PredictRequest."""
    try:
        return tensors.from_proto(proto, room)
    except BadInput as error:
        raise BadInput(f"tensor parsing error: {alias}") from error


class Messages:
    """The methods of PredictionService and ModelService, each from request to response message."""

    def __init__(
        self,
        manager: ModelManager,
        *,
        tensor_content: bool = False,
        check_method_names: bool = False,
        most_filled_bytes: int = 0,
    ) -> None:
        """Args: most_filled_bytes: of inputs whose values were left out, all calls together; 0: from the memory."""
        self._fills = Ledger(
            most_filled_bytes or memory.allowed_bytes() // _SHARE_FOR_FILLS, "Tensors that were filled in"
        )
        self._manager, self._metrics = manager, manager.metrics
        self._tensor_content, self._check_methods = tensor_content, check_method_names

    def services(self) -> Services:
        """Both services, for grpc_methods.py."""
        return {
            "tensorflow.serving.PredictionService": {
                "Predict": Unary(PredictRequest, self.predict),
                "Classify": Unary(ClassificationRequest, self.classify),
                "Regress": Unary(RegressionRequest, self.regress),
                "MultiInference": Unary(MultiInferenceRequest, self.multi_inference),
                "GetModelMetadata": Unary(GetModelMetadataRequest, self.get_model_metadata),
            },
            "tensorflow.serving.ModelService": {
                "GetModelStatus": Unary(GetModelStatusRequest, self.get_model_status),
                "HandleReloadConfigRequest": Unary(ReloadConfigRequest, self.reload_config),
            },
        }

    def predict(self, request: PredictRequest, deadline: float | None) -> PredictResponse:
        """PredictionService.Predict."""
        with Call(self._metrics, "Predict", deadline, door="GRPC") as call, Held(self._fills) as held:
            spec = spec_of(request)
            with self._held(spec, call) as served:
                outputs = predict.on(
                    served.model,
                    call.runs(served),
                    spec.signature_name,
                    request.inputs,
                    output_filter=request.output_filter,
                    read=partial(read_tensor, held.take),
                    check_method=self._check_methods,
                )
            response = PredictResponse()
            _fill_spec(response.model_spec, served, spec.signature_name)
            for alias, array in outputs.items():
                response.outputs[alias].CopyFrom(tensors.to_proto(array, as_content=self._tensor_content))
            return response

    def classify(self, request: ClassificationRequest, deadline: float | None) -> ClassificationResponse:
        """PredictionService.Classify."""
        response = ClassificationResponse()
        found = self._of_examples("Classify", classify.on, request, response, deadline)
        fill_classifications(response.result, found)
        return response

    def regress(self, request: RegressionRequest, deadline: float | None) -> RegressionResponse:
        """PredictionService.Regress."""
        response = RegressionResponse()
        found = self._of_examples("Regress", regress.on, request, response, deadline)
        fill_regressions(response.result, found)
        return response

    def _of_examples(
        self, api: str, on: Callable[..., Any], request: Any, response: Any, deadline: float | None
    ) -> Any:
        with Call(self._metrics, api, deadline, door="GRPC") as call:
            spec = spec_of(request)
            with self._held(spec, call) as served:
                _fill_spec(response.model_spec, served, spec.signature_name)
                return on(
                    served.model,
                    call.runs(served),
                    spec.signature_name,
                    partial(examples.serialized_examples, request.input),
                    check_method=self._check_methods,
                )

    def multi_inference(self, request: MultiInferenceRequest, deadline: float | None) -> MultiInferenceResponse:
        """PredictionService.MultiInference."""
        response = MultiInferenceResponse()

        def counted() -> Array:
            found = examples.serialized_examples(request.input)
            self._metrics.count_examples(spec.name, len(found))
            return found

        with Call(self._metrics, "MultiInference", deadline) as call:
            spec = request.tasks[0].model_spec if request.tasks else ModelSpec()
            with self._held(spec, call) as served:
                results = multi.on(
                    served.model,
                    call.runs(served),
                    multi.tasks_of(request),
                    counted,
                    check_method=self._check_methods,
                )
        for found in results:
            result = response.results.add()
            _fill_spec(result.model_spec, served, found.signature)
            if isinstance(found.answer, classify.Classifications):
                fill_classifications(result.classification_result, found.answer)
            else:
                fill_regressions(result.regression_result, found.answer)
        return response

    def get_model_metadata(self, request: GetModelMetadataRequest, _deadline: float | None) -> GetModelMetadataResponse:
        """PredictionService.GetModelMetadata."""
        spec = spec_of(request)
        metadata.check_fields(request.metadata_field)
        _check_name(spec)
        version, found = metadata.run(self._manager, spec.name, version_of(spec), label_of(spec))
        return metadata_message(spec.name, version, found)

    def get_model_status(self, request: GetModelStatusRequest, _deadline: float | None) -> GetModelStatusResponse:
        """ModelService.GetModelStatus."""
        spec = spec_of(request)
        return status_message(status.run(self._manager, spec.name, version_of(spec)))

    def reload_config(self, request: ReloadConfigRequest, deadline: float | None) -> ReloadConfigResponse:
        """ModelService.HandleReloadConfigRequest."""
        response = ReloadConfigResponse()
        response.status.SetInParent()
        before = reload.totals(self._metrics, request.metric_names)
        reload.apply(self._manager, request.config, deadline=deadline)
        for name, total in reload.totals(self._metrics, request.metric_names).items():
            response.metric.add(name=name, int64_value_increase=int(total - before[name]))
        return response

    def _held(self, spec: ModelSpec, call: Call) -> AbstractContextManager[ServedVersion]:
        call.model = spec.name
        _check_name(spec)
        return self._manager.acquire(spec.name, version=version_of(spec), label=label_of(spec))


def _check_name(spec: ModelSpec) -> None:
    if not spec.name:
        raise BadInput("ModelSpec has no name specified.")


def _fill_spec(spec: ModelSpec, served: ServedVersion, signature: str) -> None:
    spec.name, spec.signature_name = served.name, signature or DEFAULT_SIGNATURE
    spec.version.value = served.version


def fill_classifications(result: ClassificationResult, found: classify.Classifications) -> None:
    """Write labels and scores, in the order of the tensors."""
    present = found.scores if found.scores is not None else found.classes
    assert present is not None
    classes = None if found.classes is None else found.classes.tolist()
    scores = None if found.scores is None else found.scores.tolist()
    for row in range(present.shape[0]):
        entry = result.classifications.add()
        for column in range(present.shape[1]):
            one = entry.classes.add()
            if classes is not None:
                one.label = classes[row][column].decode("utf-8", "replace")
            if scores is not None:
                one.score = scores[row][column]


def fill_regressions(result: RegressionResult, values: Array) -> None:
    """Write one value for each example."""
    for value in values.tolist():
        result.regressions.add(value=value)


def metadata_message(name: str, version: int, signature_defs: Mapping[str, Any]) -> GetModelMetadataResponse:
    """The signatures of a version, wrapped as the original does."""
    response = GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = version
    signatures = SignatureDefMap()
    for signature, definition in signature_defs.items():
        signatures.signature_def[signature].CopyFrom(definition)
    response.metadata[metadata.SIGNATURE_DEF].Pack(signatures)
    return response


def status_message(found: Any) -> GetModelStatusResponse:
    """States of versions as a message."""
    response = GetModelStatusResponse()
    for version in found:
        entry = response.model_version_status.add(version=version.version, state=int(version.state))
        entry.status.error_code, entry.status.error_message = int(version.code), version.message
    return response
