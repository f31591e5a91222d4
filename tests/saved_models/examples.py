"""Graphs that parse tf.Examples, for Classify, Regress and MultiInference; they need TensorFlow to run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.saved_models.graph import CLASSIFY, REGRESS, placeholder, save, signature

v1 = tf.compat.v1


def half_plus_two(version: Path) -> None:
    """The well-known test model: y = x / 2 + 2 and y3 = x2 / 2 + 3, from floats or from tf.Examples."""

    def build() -> Mapping[str, Any]:
        half, two, three = (v1.get_variable(name, initializer=at) for name, at in (("a", 0.5), ("b", 2.0), ("c", 3.0)))
        serialized = placeholder("tf_example", tf.string, [None])
        number = {"x": tf.io.FixedLenFeature([1], tf.float32), "x2": tf.io.FixedLenFeature([1], tf.float32, [0.0])}
        parsed = v1.io.parse_example(serialized, number)
        x, x2 = tf.identity(parsed["x"], "x"), tf.identity(parsed["x2"], "x2")
        y, y2, y3 = half * x + two, half * x + three, half * x2 + three
        inputs = {"inputs": serialized}
        return {
            "serving_default": signature({"x": x}, {"y": y}),
            "regress_x_to_y": signature(inputs, {"outputs": y}, REGRESS),
            "regress_x_to_y2": signature(inputs, {"outputs": y2}, REGRESS),
            "regress_x2_to_y3": signature({"inputs": x2}, {"outputs": y3}, REGRESS),
            "classify_x_to_y": signature(inputs, {"scores": y}, CLASSIFY),
            "classify_x2_to_y3": signature({"inputs": x2}, {"scores": y3}, CLASSIFY),
        }

    save(version, build)


def parsed_classifier(version: Path) -> None:
    """Classify and Regress signatures over the feature `x` float [2], right ones and each way of being wrong."""

    def build() -> Mapping[str, Any]:
        serialized = placeholder("examples", tf.string, [None])
        x = v1.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([2], tf.float32)})["x"]
        names = tf.tile(tf.constant([["left", "right"]]), [tf.shape(x)[0], 1])
        one, inputs = tf.reduce_sum(x, 1), {"inputs": serialized}
        classify = {
            "serving_default": {"classes": names, "scores": x},
            "only_classes": {"classes": names},
            "only_scores": {"scores": x},
            "flat_scores": {"scores": one},
            "uneven": {"classes": names, "scores": x[:, :1]},
            "short_scores": {"scores": x[:1]},
            "neither": {"something": x},
        }
        regress = {
            "regress": {"outputs": one},
            "regress_column": {"outputs": one[:, None]},
            "regress_wide": {"outputs": x},
            "regress_short": {"outputs": one[:1]},
            "regress_integers": {"outputs": tf.cast(one, tf.int32)},
        }
        made = {name: signature(inputs, outputs, CLASSIFY) for name, outputs in classify.items()}
        return made | {name: signature(inputs, outputs, REGRESS) for name, outputs in regress.items()}

    save(version, build)


BUILDERS: Mapping[str, Callable[[Path], None]] = {kind.__name__: kind for kind in (half_plus_two, parsed_classifier)}
