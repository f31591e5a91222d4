"""A Keras classifier as a SavedModel that TensorFlow Serving and OpenVINO both read.

Variables are frozen into the graph first: so saved, every weight is stored once and OpenVINO finds
it (a tf.Module around the model hides its variables from OpenVINO, Keras' ExportArchive stores them
twice). `export.py` calls this, measures the result and writes the card into it last.
"""

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from serving.card import ImageInput, Input, TableInput, TextInput
from serving.wire import protos
from training import text_graph

_CARD_TO_COME = b"the card of this version is written here last"

IMAGE_SIGNATURES = {"default": "serving_default", "encoded": "encoded", "card": "card"}
TEXT_SIGNATURES = {"default": "serving_default", "prepared": "prepared", "card": "card"}
TABLE_SIGNATURES = {"default": "serving_default", "card": "card"}
STRING_SIGNATURES = {"default": "serving_default", "card": "card"}
"""Role to signature name, for the card; the last are of a model that takes strings by itself."""


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Raise TensorFlow's file errors as Python's, which whoever called can explain."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, error.message) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message) from error


def write(model: Any, spec: Input, folder: Path) -> dict[str, str]:
    """Save the model with its signatures; the card's text is still missing.

    Args:
        model: uint8 pixels [N, H, W, C], int32 ids [N, L], float32 rows [N, F] or (spec.bits 0,
            foreign_model.Classifier) strings [N] -> probabilities float32 [N, C], or several outputs by name.
        spec: how its input is prepared.
        folder: where to save; may exist.

    Returns:
        Role to signature name, for the card.
    """
    if isinstance(spec, TextInput) and not spec.bits:
        _save_string_model(model, folder)
        return STRING_SIGNATURES
    holder = tf.Module()
    if isinstance(spec, ImageInput):
        signatures, roles = _image_signatures(model, spec, holder), IMAGE_SIGNATURES
    elif isinstance(spec, TableInput):
        signatures, roles = _table_signatures(model, spec, holder), TABLE_SIGNATURES
    else:
        signatures, roles = _text_signatures(model, spec, holder), TEXT_SIGNATURES
    signatures["card"] = _card_signature()
    tf.saved_model.save(holder, str(folder), signatures=signatures)
    return roles


def _image_signatures(model: Any, spec: ImageInput, holder: Any) -> dict[str, Any]:
    size = (spec.height, spec.width)
    pixels = tf.TensorSpec((None, *size, spec.channels), tf.uint8, name="image")
    answers = _frozen(model, pixels, holder)

    @tf.function(input_signature=[pixels])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> dict[str, Any]:
        return answers(image)

    def prepare(content: Any) -> Any:
        picture = tf.io.decode_image(content, spec.channels, expand_animations=False)
        resized = tf.image.resize(picture, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])  # type: ignore[untyped-decorator]
    def encoded(image_bytes: Any) -> dict[str, Any]:
        prepared = tf.map_fn(prepare, image_bytes, fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.uint8))
        return answers(prepared)

    return {"serving_default": serve, "encoded": encoded}


def _text_signatures(model: Any, spec: TextInput, holder: Any) -> dict[str, Any]:
    ids = tf.TensorSpec((None, spec.length), tf.int32, name="ids")
    answers = _frozen(model, ids, holder)

    @tf.function(input_signature=[ids])  # type: ignore[untyped-decorator]
    def prepared(ids: Any) -> dict[str, Any]:
        return answers(ids)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")])  # type: ignore[untyped-decorator]
    def serve(text: Any) -> dict[str, Any]:
        return answers(text_graph.ids(text, spec))

    return {"serving_default": serve, "prepared": prepared}


def _table_signatures(model: Any, spec: TableInput, holder: Any) -> dict[str, Any]:
    rows = tf.TensorSpec((None, len(spec.columns)), tf.float32, name="row")
    answers = _frozen(model, rows, holder)

    @tf.function(input_signature=[rows])  # type: ignore[untyped-decorator]
    def serve(row: Any) -> dict[str, Any]:
        return answers(row)

    return {"serving_default": serve}


def _save_string_model(model: Any, folder: Path) -> None:
    """Save a model with string ops of its own: its tables cannot be frozen, so Keras saves it with its variables."""
    archive = keras.export.ExportArchive()
    archive.track(model.inner)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")])  # type: ignore[untyped-decorator]
    def serve(text: Any) -> dict[str, Any]:
        return {"probabilities": model(text)}

    archive.add_endpoint("serving_default", serve)
    archive.add_endpoint("card", _card_signature())
    archive.write_out(str(folder), verbose=False)


def _frozen(model: Any, spec: Any, holder: Any) -> Callable[[Any], dict[str, Any]]:
    """The model in inference mode as one function without variables, kept by the holder: input -> named outputs."""
    names: list[str] = []

    def call(inputs: Any) -> list[Any]:
        outputs = model(inputs, training=False)
        named = outputs if isinstance(outputs, dict) else {"probabilities": outputs}
        names[:] = named
        return list(named.values())

    traced = tf.function(call).get_concrete_function(spec)
    holder.frozen = frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    return lambda inputs: dict(zip(names, frozen(inputs), strict=True))


def _card_signature() -> Any:
    """One string per row of any int32 request: batching refuses outputs without rows."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="request")])  # type: ignore[untyped-decorator]
    def describe(request: Any) -> dict[str, Any]:
        return {"card": tf.fill(tf.shape(request), tf.constant(_CARD_TO_COME))}

    return describe


def write_card(folder: Path, card: str) -> None:
    """Put the card's text where `write` left room for it; nothing else in the file changes.

    The card holds measurements of the saved model itself, so it can only come after it.
    """
    path = folder / "saved_model.pb"
    saved = protos.SavedModel.FromString(path.read_bytes())
    places = [place for graph in saved.meta_graphs for place in _places(graph.graph_def)]
    if not places:
        raise ValueError("the saved model has no room for a card")
    for place in places:
        place[:] = [card.encode()]
    path.write_bytes(saved.SerializeToString())
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # of the file as it was; readers do without


def _places(graph: Any) -> list[Any]:
    """The string values of all constants that wait for the card."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    values = [node.attr["value"].tensor.string_val for node in nodes if node.op == "Const"]
    return [value for value in values if list(value) == [_CARD_TO_COME]]
