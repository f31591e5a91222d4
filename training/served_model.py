"""The fitted network as it is served: probabilities at the right temperature, and the anomaly score.

Both are computed inside the exported graph, so that every runtime and every caller gets them. The
numbers come from `calibration.py` and `anomaly.py`, which say in numpy what is computed here.
"""

from typing import Any

import keras
from keras import ops

from training import anomaly, calibration
from training.anomaly import Detector

_PASSED = (keras.layers.Activation, keras.layers.Softmax, keras.layers.Dropout)
"""Layers without weights that may stand between the last dense layer and the output."""


def features_of(model: Any) -> Any | None:
    """The tensor that the last dense layer reads, [N, F]; None if the network does not end in one."""
    tensor = model.outputs[0]
    while True:
        history = getattr(tensor, "_keras_history", None)
        if history is None or not (nodes := history.operation._inbound_nodes):
            return None
        if len(nodes[history.node_index].input_tensors) != 1:
            return None
        layer, tensor = history.operation, nodes[history.node_index].input_tensors[0]
        if isinstance(layer, keras.layers.Dense):
            return tensor if len(tensor.shape) == 2 else None
        if not isinstance(layer, _PASSED):
            return None


def with_features(model: Any) -> Any:
    """The network with its `probabilities` and, where it has some, its `features`."""
    features = features_of(model)
    named = {"probabilities": model.outputs[0]}
    return keras.Model(model.inputs[0], named if features is None else named | {"features": features})


def build(model: Any, temperature: float, detector: Detector | None) -> Any:
    """The network that is exported.

    Args:
        model: keras.Model, input -> probabilities [N, C].
        temperature: the logarithms of the probabilities are divided by it.
        detector: None for a version without an anomaly score.

    Returns:
        keras.Model, input -> {"probabilities": float32 [N, C], "anomaly": float32 [N] if there is a detector}.
    """
    outputs = {"probabilities": Temperature(temperature, name="temperature")(model.outputs[0])}
    if detector is not None:
        outputs["anomaly"] = AnomalyScore(detector, name="anomaly")(features_of(model))
    return keras.Model(model.inputs[0], outputs)  # a Sequential has no `input` before it is called


class Temperature(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """softmax(log p / T): the order of the labels stays, only how sure the answer is changes."""

    def __init__(self, temperature: float, **options: Any) -> None:
        """Args: temperature: above 0; 1 changes nothing."""
        super().__init__(dtype="float32", **options)
        self._temperature = temperature

    def call(self, probabilities: Any) -> Any:
        """Float [N, C] -> float32 [N, C]."""
        logits = ops.log(ops.maximum(ops.cast(probabilities, "float32"), calibration.SMALLEST))
        return ops.softmax(logits / self._temperature)


class AnomalyScore(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """`anomaly.Detector.score`; one small matrix, used twice."""

    def __init__(self, detector: Detector, **options: Any) -> None:
        """Args: detector: its numbers become constants of the graph."""
        super().__init__(dtype="float32", **options)
        self._detector = detector

    def build(self, shape: Any) -> None:
        """Keep the matrices as weights, so that the graph holds each once."""
        self.directions, self.shares, self.centers_along, self.centers_rest = (
            self._constant(name) for name in ("directions", "weights", "centers_along", "centers_rest")
        )

    def _constant(self, name: str) -> Any:
        value = getattr(self._detector, name)
        weight = self.add_weight(shape=value.shape, initializer="zeros", trainable=False, name=name)
        weight.assign(value)
        return weight

    def call(self, features: Any) -> Any:
        """Features [N, F] -> float32 [N]."""
        wide = ops.cast(features, "float32")
        length = ops.sqrt(ops.sum(wide * wide, axis=1, keepdims=True))
        rows = wide / ops.maximum(length, anomaly.SMALLEST)
        along = ops.matmul(rows, self.directions)
        rest = rows - ops.matmul(along, ops.transpose(self.directions))
        gaps_along = along[:, None, :] - self.centers_along[None]
        gaps_rest = rest[:, None, :] - self.centers_rest[None]
        distances = ops.sum(gaps_along * gaps_along * self.shares, axis=2) + ops.sum(gaps_rest * gaps_rest, axis=2)
        return ops.sqrt(ops.min(distances, axis=1) * self._detector.scale)
