"""Opens a classifier that was trained elsewhere and makes it speak as ours do.

Pixels uint8 [N, H, W, C] or strings [N] go in, probabilities float32 [N, C] come out, whatever
scale the model learned on and whether it ends in a softmax, a sigmoid or nothing.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.card import ImageInput, Task, TextInput
from serving.errors import BadInput

Scale = Literal["0-1", "-1-1", "none"]
Outputs = Literal["probabilities", "one probability", "logits", "one logit"]

_FACTORS: dict[Scale, tuple[float, float]] = {"0-1": (1 / 255, 0.0), "-1-1": (1 / 127.5, -1.0), "none": (1.0, 0.0)}

_APART = 4
"""Sample inputs that are asked by themselves as well."""


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model as it came."""

    inner: Any
    """What must be kept alive and saved with it: a keras.Model or a loaded SavedModel."""
    call: Callable[[Any], Any]
    """Its own input -> its own output, in inference mode."""
    input: ImageInput | TextInput
    dtype: Any
    column: bool
    """True where strings are wanted as [N, 1]."""


def open_model(path: Path, task: Task) -> ForeignModel:
    """A `.keras` file or a SavedModel folder.

    Raises:
        BadInput: it is neither, cannot be opened, or is no classifier of this task.
    """
    if path.is_dir() and (path / "saved_model.pb").is_file():
        inner, call, spec = _open_saved_model(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        inner, call, spec = _open_keras(path)
    else:
        raise BadInput(f"{path} is neither a .keras file nor a SavedModel folder; in Keras write model.save('x.keras')")
    shape = list(spec.shape)
    if task == "text_classification":
        if spec.dtype != tf.string:
            raise BadInput(f"{path} takes {spec.dtype.name}, not strings: put its TextVectorization layer in front")
        return ForeignModel(inner, call, TextInput(bits=0), spec.dtype, column=len(shape) == 2)
    if spec.dtype == tf.string or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise BadInput(f"{path} takes {spec.dtype.name} {shape}, and a picture is [None, height, width, 3 or 1]")
    return ForeignModel(
        inner, call, ImageInput(height=shape[1], width=shape[2], channels=shape[3]), spec.dtype, column=False
    )


def _open_keras(path: Path) -> tuple[Any, Callable[[Any], Any], Any]:
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # custom layers, lambdas, other versions: whatever reading it can meet
        raise BadInput(
            f"{path} cannot be opened by Keras {keras.__version__} ({_first_line(error)}): "
            "a model with code of its own must be exported as a SavedModel by model.export('FOLDER')"
        ) from error
    if len(model.inputs) != 1:
        raise BadInput(f"{path} has {len(model.inputs)} inputs, and a classifier has one")
    first = model.inputs[0]
    return model, lambda inputs: model(inputs, training=False), tf.TensorSpec(first.shape, first.dtype)


def _open_saved_model(path: Path) -> tuple[Any, Callable[[Any], Any], Any]:
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # damaged files, unknown ops
        raise BadInput(f"{path} cannot be opened as a SavedModel: {_first_line(error)}") from error
    if "serving_default" not in loaded.signatures:
        raise BadInput(f"{path} has no signature serving_default, only {sorted(loaded.signatures)}")
    function = loaded.signatures["serving_default"]
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1 or len(function.structured_outputs) != 1:
        raise BadInput(
            f"{path} has {len(inputs)} inputs and {len(function.structured_outputs)} outputs, not one of each"
        )
    alias, spec = next(iter(inputs.items()))
    return loaded, lambda value: next(iter(function(**{alias: value}).values())), spec


class Classifier(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A foreign model behind our contract; `export.py` takes it as it takes a Keras model."""

    def __init__(self, foreign: ForeignModel, scale: Scale, outputs: Outputs, labels: tuple[str, ...]) -> None:
        """Args: see ForeignModel; outputs: what the model's numbers mean."""
        super().__init__()
        self.outputs, self.labels = outputs, labels
        self._foreign, self._scale, self.inner = foreign, scale, foreign.inner
        self.predict_on_batch = tf.function(self.__call__, reduce_retracing=True)

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Probabilities of a batch, always in inference mode."""
        raw = raw_answer(self._foreign, self._scale, inputs)
        if self.outputs == "logits":
            return tf.nn.softmax(raw)
        if self.outputs == "probabilities":
            return raw
        second = tf.sigmoid(raw) if self.outputs == "one logit" else raw
        return tf.concat([1 - second, second], axis=1)


def raw_answer(foreign: ForeignModel, scale: Scale, inputs: Any) -> Any:
    """The model's own numbers, float32 [N, outputs]."""
    if isinstance(foreign.input, TextInput):
        inputs = tf.convert_to_tensor(inputs)
        value = tf.expand_dims(inputs, 1) if foreign.column else inputs
    else:
        factor, offset = _FACTORS[scale]
        scaled = tf.cast(inputs, tf.float32) * factor + offset
        value = tf.cast(inputs if scale == "none" else scaled, foreign.dtype)
    answer = tf.cast(foreign.call(value), tf.float32)
    return tf.expand_dims(answer, 1) if len(answer.shape) == 1 else answer


def classifier(
    foreign: ForeignModel, scale: Scale, samples: Sequence[NDArray[Any]], labels: tuple[str, ...]
) -> Classifier:
    """The foreign model behind our contract.

    Args:
        foreign: from `open_model`.
        scale: the range of pixel values that it learned on.
        samples: batches of inputs, to see what it answers.
        labels: in the order of its outputs; of a single output the second label's probability is expected.

    Raises:
        BadInput: it fails on them, its outputs are not one per label, or an answer depends on what else is asked.
    """
    few = samples[0][:_APART]
    try:
        answers = np.concatenate([np.asarray(raw_answer(foreign, scale, batch)) for batch in samples])
        apart = np.concatenate([np.asarray(raw_answer(foreign, scale, few[row : row + 1])) for row in range(len(few))])
    except Exception as error:  # whatever foreign code can raise
        raise BadInput(f"the model fails on sample inputs: {_first_line(error)}") from error
    kind = _kind_of_outputs(answers, labels)
    if not np.allclose(apart, answers[: len(few)], rtol=1e-2, atol=1e-3):
        raise BadInput(
            "the model answers an input otherwise when others stand beside it in a batch, and servers put together "
            "what comes at once (with texts: give TextVectorization an output_sequence_length)"
        )
    return Classifier(foreign, scale, kind, labels)


def _kind_of_outputs(answers: NDArray[Any], labels: tuple[str, ...]) -> Outputs:
    count = answers.shape[-1]
    single = count == 1 and len(labels) == 2
    if answers.ndim != 2 or not (count == len(labels) or single):
        left = labels[count] if count < len(labels) else labels[-1]
        where = "has no output of its own" if count < len(labels) else "is not the last output's"
        raise BadInput(f"the model has {count} outputs for {len(labels)} labels: the label {left!r} {where}")
    if not np.isfinite(answers).all():
        raise BadInput("the model answers sample inputs with numbers that are not finite; is --scale right?")
    within = bool(((answers >= 0) & (answers <= 1)).all())
    if single:
        return "one probability" if within else "one logit"
    return "probabilities" if within and np.allclose(answers.sum(axis=1), 1, atol=1e-3) else "logits"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
