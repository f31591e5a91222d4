"""Warm-up requests: what a server sends to a version before anybody else does.

TensorFlow Serving and our own model server replay them when they load the version, so that no
caller pays for the first run. They hold generated inputs, never anybody's photo or review.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from serving import repository
from serving.card import ImageInput, Input, TableInput, TextInput
from serving.wire import protos, tensors

_ROWS = (1, 4)
_REVIEW = b"It is not a bad film at all, and I would watch it again tomorrow. The ending is a little slow."


def write(folder: Path, name: str, spec: Input, roles: Mapping[str, str]) -> None:
    """Write the requests of a version as TFRecord of PredictionLog, where servers look for them."""
    path = folder / repository.WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, alias, array in _inputs(spec, roles):
            file.write(_log(name, signature, alias, array))


def _inputs(spec: Input, roles: Mapping[str, str]) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Signature, input alias and value of every request."""
    for rows in _ROWS:
        if isinstance(spec, TextInput):
            yield roles["default"], "text", np.array([_REVIEW] * rows, object)
        elif isinstance(spec, TableInput):
            middle = [(column.low + column.high) / 2 for column in spec.columns]
            yield roles["default"], "row", np.array([middle] * rows, np.float32)
        else:
            yield roles["default"], "image", np.stack([_picture(spec)] * rows)
    if "encoded" in roles and isinstance(spec, ImageInput):
        file = io.BytesIO()
        Image.fromarray(_picture(spec).squeeze()).save(file, "JPEG")
        yield roles["encoded"], "image_bytes", np.array([file.getvalue()], object)


def _picture(spec: ImageInput) -> NDArray[np.uint8]:
    """A gradient: small once compressed, and not all one value."""
    rows = np.linspace(0, 255, spec.height)[:, None, None]
    columns = np.linspace(0, 255, spec.width)[None, :, None]
    picture: NDArray[np.uint8] = np.broadcast_to((rows + columns) / 2, (spec.height, spec.width, spec.channels)).astype(
        np.uint8
    )
    return picture


def _log(name: str, signature: str, alias: str, array: NDArray[Any]) -> bytes:
    log = protos.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.inputs[alias].CopyFrom(tensors.to_proto(array, as_content=array.dtype != object))
    written: bytes = log.SerializeToString()
    return written
