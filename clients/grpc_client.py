"""GrpcClient: asks this project's model server or TensorFlow Serving over gRPC.

The version itself says how it wants its items prepared: its `card` signature is asked first, over
the same channel, and then exactly the version that sent the card. Pictures are prepared here by
`serving/preprocess`, texts go as they are. What is shared with HTTP is in client.py.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

from clients.answers import Anomaly, Classification, ModelStatus, Ranked, Value, VersionStatus
from clients.client import Client, Item, Outcome, Question, Tls
from serving.card import ImageInput, ModelCard, TableInput, Task
from serving.errors import (
    BadInput,
    DeadlineExceeded,
    FailedPrecondition,
    NoCard,
    NotFound,
    ServingError,
    Unimplemented,
    UnsupportedKind,
    of_code,
)
from serving.preprocess.table import to_row
from serving.wire import protos
from serving.wire.tensors import from_proto, to_proto

Items = Sequence[Item]

LOOK_AGAIN_S = 5.0
"""The newest version's card is asked for again this often."""
UNNAMED = "default"
"""The name under which TensorFlow Serving serves a model that was given none."""
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
]
_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


class _Promise(NamedTuple):
    """A card, the version that gave it, and until when to believe that it is the newest."""

    card: ModelCard
    version: int
    until: float


class GrpcClient(Client):
    """Asks a model server, such as 127.0.0.1:8500 or dns:///models:8500 (all its addresses in turn)."""

    group_size: Mapping[Task, int] = {"image_classification": 8, "text_classification": 32, "tabular": 64}

    def __init__(
        self,
        target: str = "127.0.0.1:8500",
        *,
        timeout_s: float = 10.0,
        attempts: int = 3,
        concurrency: int = 4,
        api_key: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Args as in Client; api_key is sent as a bearer token. The connection is made when it is needed."""
        super().__init__(timeout_s=timeout_s, attempts=attempts, concurrency=concurrency)
        self.target = target
        self._channel = _channel(target, tls)
        self._metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._predict = self._method("PredictionService/Predict", protos.PredictRequest, protos.PredictResponse)
        self._get_status = self._method(
            "ModelService/GetModelStatus", protos.GetModelStatusRequest, protos.GetModelStatusResponse
        )
        self._promises: dict[tuple[str, int | None], _Promise] = {}

    def predict(
        self,
        arrays: Mapping[str, NDArray[Any]],
        model: str = UNNAMED,
        *,
        signature: str = "serving_default",
        version: int | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Run one signature; arrays travel as they lie in memory. Strings are arrays of `bytes` objects."""
        outputs, _ = self._persevere(partial(self._run, arrays, model, signature, version))
        return outputs

    def card(self, model: str = UNNAMED, *, version: int | None = None) -> ModelCard:
        """The card, from the version's own `card` signature."""
        return self._persevere(partial(self._promise, model, version)).card

    def status(self, model: str | None = None) -> list[ModelStatus]:
        """One model, since gRPC has no list of them; `default` where none is named."""
        name = model or UNNAMED
        request = protos.GetModelStatusRequest(model_spec=protos.ModelSpec(name=name))
        answer = self._persevere(partial(self._call, self._get_status, request))
        versions = tuple(
            VersionStatus(entry.version, _STATES.get(entry.state, "UNKNOWN"), entry.status.error_message)
            for entry in answer.model_version_status
        )
        try:
            card = self.card(name)
        except ServingError:
            return [ModelStatus(name, versions)]
        return [ModelStatus(name, versions, card.task, card.labels)]

    def close(self) -> None:
        """End the connection; calls under way are cancelled."""
        self._channel.close()

    def _ask(self, items: Items, question: Question, deadline: float) -> list[Outcome | Value]:
        name = question.model or UNNAMED
        try:
            return self._ask_version(items, name, question, deadline)
        except NotFound:
            # Retired since its card was read: the newest is asked once more, with its own preparation.
            if question.version is not None or self._promises.pop((name, None), None) is None:
                raise
            return self._ask_version(items, name, question, deadline)

    def _ask_version(self, items: Items, name: str, question: Question, deadline: float) -> list[Outcome | Value]:
        card, version, _ = self._promise(name, question.version, deadline)
        if card.task != question.task:
            raise UnsupportedKind(f"the model {name} is for {card.task.replace('_', ' ')}")
        failures, inputs = _prepared(items, card)
        answers: Iterator[Classification | Value] = iter(())
        if inputs:
            signature = card.signatures.get("default", "serving_default")
            outputs, _ = self._run(inputs, name, signature, version, deadline)
            answers = _answered(outputs, card, version, len(items) - len(failures), replace(question, model=name))
        return [failures[place] if place in failures else next(answers) for place in range(len(items))]

    def _promise(self, model: str, version: int | None, deadline: float) -> _Promise:
        kept = self._promises.get((model, version))
        if kept is not None and time.monotonic() < kept.until:
            return kept
        try:
            outputs, served = self._run({"request": np.zeros(1, np.int32)}, model, "card", version, deadline)
            card = ModelCard.from_json(bytes(outputs["card"].flat[0]))
        except (BadInput, FailedPrecondition, Unimplemented, KeyError) as error:
            raise NoCard(
                f"the model {model} has no card; make one with `python -m training import` ({error})"
            ) from error
        promise = _Promise(card, served, time.monotonic() + LOOK_AGAIN_S)
        self._promises[model, version] = promise
        return promise

    def _run(
        self, inputs: Mapping[str, NDArray[Any]], model: str, signature: str, version: int | None, deadline: float
    ) -> tuple[dict[str, NDArray[Any]], int]:
        """One Predict: the outputs, and the version that gave them."""
        request = protos.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_proto(np.asarray(array), as_content=array.dtype != object))
        answer = self._call(self._predict, request, deadline)
        outputs = {name: from_proto(tensor) for name, tensor in answer.outputs.items()}
        return outputs, int(answer.model_spec.version.value)

    def _method(self, name: str, request: Any, response: Any) -> Callable[..., Any]:
        return self._channel.unary_unary(
            f"/tensorflow.serving.{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def _call(self, method: Callable[..., Any], request: Any, deadline: float) -> Any:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded(f"no time is left to ask {self.target}")
        try:
            return method(request, timeout=left_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise of_code(error.code().value[0], error.details() or error.code().name) from error


def _channel(target: str, tls: Tls | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    parts = [path.read_bytes() if path else None for path in (tls.ca, tls.key, tls.certificate)]
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(*parts), options=_OPTIONS)


def _prepared(items: Items, card: ModelCard) -> tuple[dict[int, ServingError], dict[str, NDArray[Any]]]:
    """What is wrong with which item, and the tensor of the others, empty if there are none."""
    if isinstance(card.input, ImageInput):
        return _stacked("image", items, partial(_preparation(), spec=card.input))
    if isinstance(card.input, TableInput):
        return _stacked("row", items, partial(to_row, spec=card.input))
    texts = [item.encode() if isinstance(item, str) else item for item in items]
    return {}, {"text": np.array(texts, dtype=object)}


def _stacked(
    name: str, items: Items, prepare: Callable[[Any], NDArray[Any]]
) -> tuple[dict[int, ServingError], dict[str, NDArray[Any]]]:
    """The same, each item prepared by itself."""
    failures: dict[int, ServingError] = {}
    prepared = []
    for place, item in enumerate(items):
        try:
            prepared.append(prepare(item))
        except ServingError as error:
            failures[place] = error
    return failures, {name: np.stack(prepared)} if prepared else {}


def _preparation() -> Callable[..., NDArray[Any]]:
    """The preparation of pictures, loaded when the first one comes: who sends texts need not have Pillow."""
    try:
        from serving.preprocess.image import to_pixels
    except ImportError as error:
        raise Unimplemented(f"pictures over gRPC need `pip install pillow simplejpeg` here ({error})") from error
    return to_pixels


def _probabilities(outputs: Mapping[str, NDArray[Any]], card: ModelCard, rows: int) -> NDArray[Any]:
    found = outputs.get("probabilities")
    if found is None or found.shape != (rows, len(card.labels)):
        raise ServingError(f"the answer is not the {rows}x{len(card.labels)} probabilities that the card promises")
    return found


def _answered(
    outputs: Mapping[str, NDArray[Any]], card: ModelCard, version: int, rows: int, question: Question
) -> Iterator[Classification | Value]:
    """What the outputs say of each item."""
    model = question.model or UNNAMED
    if not card.labels:
        for value in _of_length(outputs, "value", rows).tolist():
            yield Value(model, version, float(value))
        return
    threshold = card.anomaly_threshold if "anomaly" in outputs else None
    scores = [None] * rows if threshold is None else _of_length(outputs, "anomaly", rows).tolist()
    for row, score in zip(_probabilities(outputs, card, rows), scores, strict=True):
        order = np.argsort(-row, kind="stable")[: question.top].tolist()
        ranked = tuple(Ranked(card.labels[at], round(float(row[at]), 7)) for at in order)
        unlike = None if threshold is None else Anomaly(float(score), threshold, bool(score > threshold))
        yield Classification(model, version, ranked, unlike)


def _of_length(outputs: Mapping[str, NDArray[Any]], name: str, rows: int) -> NDArray[Any]:
    found = outputs.get(name)
    if found is None or found.shape != (rows,):
        raise ServingError(f"the answer has no output {name} of {rows} numbers, which the card promises")
    return found
