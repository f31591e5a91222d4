"""Warm-up records, replayed as the requests that they are, but not counted as such.

`lifecycle/warmup.py` reads the records and is handed these; the models and versions that they name play no part.
"""

from collections.abc import Mapping
from functools import partial

from serving.modelserver.calls import classify, multi, predict, regress
from serving.modelserver.lifecycle.warmup import Replay
from serving.modelserver.runtimes.protocol import LoadedModel
from serving.wire import examples
from serving.wire.protos import PredictionLog
from serving.wire.tensors import from_proto


def _predict(log: PredictionLog, model: LoadedModel) -> None:
    request = log.predict_log.request
    predict.on(
        model,
        model.run,
        request.model_spec.signature_name,
        request.inputs,
        output_filter=request.output_filter,
        read=lambda _, proto: from_proto(proto),
    )


def _classify(log: PredictionLog, model: LoadedModel) -> None:
    request = log.classify_log.request
    classify.on(
        model, model.run, request.model_spec.signature_name, partial(examples.serialized_examples, request.input)
    )


def _regress(log: PredictionLog, model: LoadedModel) -> None:
    request = log.regress_log.request
    regress.on(
        model, model.run, request.model_spec.signature_name, partial(examples.serialized_examples, request.input)
    )


def _multi(log: PredictionLog, model: LoadedModel) -> None:
    request = log.multi_inference_log.request
    multi.on(model, model.run, multi.tasks_of(request), partial(examples.serialized_examples, request.input))


REPLAYS: Mapping[str, Replay] = {
    "predict_log": _predict,
    "classify_log": _classify,
    "regress_log": _regress,
    "multi_inference_log": _multi,
}
"""Kind of log to what replays it."""
