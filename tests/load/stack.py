"""What a running stack offers, and what to ask it: found out from the stack itself.

Every model that the gateway lists as available and that has a card is asked over HTTP; over gRPC,
where a model server answers, the same models are asked with tensors prepared as their cards say.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import numpy as np

from clients.http_client import HttpClient
from serving.card import ImageInput, ModelCard, TextInput
from serving.errors import ServingError
from serving.preprocess.image import to_pixels
from serving.wire import protos, tensors
from tests.load import mix

GRPC_PORT = 8500
PREPARED = 16
"""Tensors that are made ready for each model."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request over HTTP."""

    name: str
    """As the statistics call it."""
    path: str
    kind: str
    body: bytes
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One gRPC Predict."""

    name: str
    request: bytes


@dataclass(slots=True)
class Stack:
    """A stack and what is sent to it, in the order in which it is sent."""

    host: str
    grpc: str
    """host:port of the model server; empty where none is asked."""
    models: list[str] = field(default_factory=list)
    photos: list[Post] = field(default_factory=list)
    reviews: list[Post] = field(default_factory=list)
    rows: list[Post] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


def found(
    host: str, target: str | None, photos: Path | None, reviews: Path | None, seed: int, api_key: str | None = None
) -> Stack:
    """Ask the stack what it serves.

    Args:
        host: the gateway, such as http://127.0.0.1:8080.
        target: host:port of the model server; None: port 8500 beside the gateway; empty: nobody asks it.
        photos: folder of JPEG files; None: the built-in sample set.
        reviews: aclImdb_v1.tar.gz; None: drawn ones.
        seed: of what is sent and in which order.
        api_key: a bearer token.

    Raises:
        ServingError: nobody answers, or there is no model that could be asked.
    """
    with HttpClient(host, api_key=api_key) as client:
        names = [model.name for model in client.status() if model.available and model.task]
        cards = [client.card(name) for name in names]
    if not cards:
        raise ServingError(f"{host} serves no model that has a card; `make serve` starts a stack that does")
    stack = Stack(host, _answering(target if target is not None else f"{urlsplit(host).hostname}:{GRPC_PORT}"), names)
    pictures, texts = mix.photos(photos, seed), mix.reviews(reviews, seed)
    for card in cards:
        _add(stack, card, pictures, texts)
    return stack


def _answering(target: str) -> str:
    """The target if somebody accepts connections there, else nothing."""
    if not target:
        return ""
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=3)
        except grpc.FutureTimeoutError:
            return ""
    return target


def _add(stack: Stack, card: ModelCard, pictures: Sequence[mix.Photo], texts: Sequence[bytes]) -> None:
    path = f"/v1/models/{card.name}/classify"
    if isinstance(card.input, ImageInput):
        for photo in pictures:
            name = f"{card.name}, broken" if photo.broken else card.name
            stack.photos.append(Post(name, path, photo.kind, photo.body, photo.broken))
        good = [photo.body for photo in pictures if not photo.broken]
        arrays = [to_pixels(body, card.input)[None] for body in good[:PREPARED]]
        stack.calls += [_call(card, "image", array) for array in arrays]
    elif isinstance(card.input, TextInput):
        cut = [_cut(text, card.input.max_bytes) for text in texts]
        stack.reviews += [Post(card.name, path, "text/plain; charset=utf-8", text) for text in cut]
        stack.calls += [_call(card, "text", np.array([text], dtype=object)) for text in cut[:PREPARED]]
    else:
        chance = np.random.default_rng(len(card.input.columns))
        lows, highs = ([getattr(column, side) for column in card.input.columns] for side in ("low", "high"))
        rows = chance.uniform(lows, highs, (PREPARED, len(lows)))
        coded = (json.dumps({"instances": [row.tolist()]}).encode() for row in rows)
        stack.rows += [Post(card.name, path, "application/json", body) for body in coded]
        stack.calls += [_call(card, "row", row[None].astype(np.float32)) for row in rows]


def _cut(text: bytes, most: int) -> bytes:
    """As much of a text as the model takes, in whole characters."""
    return text[:most].decode("utf-8", "ignore").encode()


def _call(card: ModelCard, alias: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Call:
    request = protos.PredictRequest()
    request.model_spec.name = card.name
    request.inputs[alias].CopyFrom(tensors.to_proto(array, as_content=array.dtype != object))
    return Call(card.name, request.SerializeToString())
