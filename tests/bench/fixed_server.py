"""A model server of fixed capacity: one prediction at a time, each of which takes a fixed time.

    python -m tests.bench.fixed_server 0.025

It speaks the three calls that the gateway makes of a TensorFlow Serving, for one picture model. What it
waits is sleep, so that 40 answers a second leave the cores to what is measured.
"""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from serving.card import Dataset, ImageInput, ModelCard
from serving.wire import protos, tensors

READY = "fixed server at "
MODEL = "fixed"
CARD = ModelCard(
    name=MODEL,
    version=1,
    task="image_classification",
    labels=("dark", "bright"),
    input=ImageInput(height=32, width=32),
    signatures={"default": "serving_default"},
    dataset=Dataset(name="none", source="unknown"),
    created="2026-01-31T12:00:00Z",
)
AVAILABLE = 30


class Service:
    """PredictionService.Predict and ModelService.GetModelStatus."""

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._turn = threading.Lock()

    def predict(self, request: protos.PredictRequest, context: Any) -> protos.PredictResponse:
        """The card at once, everything else in its turn."""
        answer = protos.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = MODEL, CARD.version
        if request.model_spec.signature_name == "card":
            outputs = {"card": np.array([CARD.to_json().encode()], dtype=object)}
        else:
            rows = request.inputs["image"].tensor_shape.dim[0].size
            with self._turn:
                time.sleep(self._takes_s)
            context.set_trailing_metadata((("served-by", str(os.getpid())),))
            outputs = {"probabilities": np.tile(np.array([0.25, 0.75], np.float32), (rows, 1))}
        for name, array in outputs.items():
            answer.outputs[name].CopyFrom(tensors.to_proto(array))
        return answer

    def status(self, request: protos.GetModelStatusRequest, context: Any) -> protos.GetModelStatusResponse:
        """One version, available."""
        answer = protos.GetModelStatusResponse()
        entry = answer.model_version_status.add()
        entry.version, entry.state = CARD.version, AVAILABLE
        return answer


def _handler(method: Any, request: type[Any]) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )


def main(takes_s: float) -> None:
    """Serve until killed."""
    service = Service(takes_s)
    server = grpc.server(ThreadPoolExecutor(128))
    for name, methods in {
        "tensorflow.serving.PredictionService": {"Predict": _handler(service.predict, protos.PredictRequest)},
        "tensorflow.serving.ModelService": {"GetModelStatus": _handler(service.status, protos.GetModelStatusRequest)},
    }.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"{READY}127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(float(sys.argv[1]))
