"""A gRPC server over real sockets that answers Predict as a test tells it, TLS and keys included."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from serving.card import ModelCard
from serving.wire import protos
from serving.wire.tensors import from_proto, to_proto

Arrays = dict[str, NDArray[Any]]
Model = Callable[[Arrays], Arrays]


class Refusal(Exception):
    """The status to answer with."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self.code = code


@dataclass
class Answering:
    """Where it listens and what it was sent."""

    target: str = ""
    metadata: list[dict[str, str]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)


def carded(card: ModelCard, run: Model) -> Model:
    """The model's default signature, and beside it the card as TensorFlow Serving would answer it."""

    def answer(inputs: Arrays) -> Arrays:
        if "request" in inputs:
            return {"card": np.array([card.to_json().encode()], dtype=object)}
        return run(inputs)

    return answer


@contextmanager
def answering(model: Model, tls: tuple[Path, Path] | None = None) -> Iterator[Answering]:
    """Serve the model until the block ends; `tls` are a certificate and its key."""
    seen = Answering()

    def predict(request: Any, context: grpc.ServicerContext) -> Any:
        seen.metadata.append({str(key): str(value) for key, value in context.invocation_metadata()})
        seen.requests.append(request)
        try:
            outputs = model({name: from_proto(tensor) for name, tensor in request.inputs.items()})
        except Refusal as refusal:
            context.abort(refusal.code, f"refused with {refusal.code.name}")
        answer = protos.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = request.model_spec.name, 5
        for name, array in outputs.items():
            answer.outputs[name].CopyFrom(to_proto(array, as_content=array.dtype != object))
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        request_deserializer=protos.PredictRequest.FromString,
        response_serializer=protos.PredictResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": handler})
    server = grpc.server(ThreadPoolExecutor(4), handlers=[service])
    if tls:
        chain, key = tls
        pairs = [(key.read_bytes(), chain.read_bytes())]
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials(pairs))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    seen.target = f"{'localhost' if tls else '127.0.0.1'}:{port}"
    try:
        yield seen
    finally:
        server.stop(None).wait()
