"""Graphs without a card, one for each thing that the protocols must carry; built by `make.py`."""

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.saved_models.graph import placeholder, save, signature

v1 = tf.compat.v1


def half_plus_three(version: Path) -> None:
    """Y = x / 2 + 3 with two variables: float [-1, 1], saved as TensorFlow 2 saves."""

    class Line(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.slope, self.offset = tf.Variable(0.5), tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> Any:
            return {"y": self.slope * x + self.offset}

    line = Line()
    tf.saved_model.save(line, str(version), signatures={"serving_default": line.serve})


FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
REAL_TYPES = (*FLOATS, *INTEGERS, "bool")
OTHER_TYPES = ("complex64", "complex128", "string")


def many_types(version: Path) -> None:
    """Echo every dtype: `serving_default` the real ones, `everything` strings and complex numbers too."""

    def build() -> Mapping[str, Any]:
        fed = {name: placeholder(name, tf.as_dtype(name), [None]) for name in REAL_TYPES + OTHER_TYPES}
        real = {name: fed[name] for name in REAL_TYPES}
        return {name: signature(ins, _echoes(ins)) for name, ins in (("serving_default", real), ("everything", fed))}

    save(version, build)


def _echoes(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tf.identity(tensor) for name, tensor in inputs.items()}


def strings(version: Path) -> None:
    """Echo strings of any shape; `upper` changes them, `length` counts their bytes."""

    def build() -> Mapping[str, Any]:
        text = placeholder("text", tf.string, None)
        return {
            "serving_default": signature({"text": text}, {"text": tf.identity(text)}),
            "upper": signature({"text": text}, {"text": tf.strings.upper(text)}),
            "length": signature({"text": text}, {"length": tf.strings.length(text)}),
        }

    save(version, build)


def counter(version: Path) -> None:
    """A variable that calls change: `serving_default` reads it, `add` adds a delta, `reset` clears it."""

    def build() -> Mapping[str, Any]:
        count = v1.get_variable("count", initializer=0.0, use_resource=True)
        delta = placeholder("delta", tf.float32, [])
        with tf.control_dependencies([count.assign_add(delta)]):
            added = tf.identity(count.read_value())
        with tf.control_dependencies([count.assign(0.0)]):
            cleared = tf.identity(count.read_value())
        return {
            "serving_default": signature({}, {"count": tf.identity(count.read_value())}),
            "add": signature({"delta": delta}, {"count": added}),
            "reset": signature({}, {"count": cleared}),
        }

    save(version, build)


def vocabulary(version: Path) -> None:
    """Words to their line in an asset file, -1 for others: a table, an asset and an init op."""

    def build() -> Mapping[str, Any]:
        source = tf.constant("words.txt")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, source)
        columns = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        lines = tf.lookup.TextFileInitializer(source, tf.string, columns[0], tf.int64, columns[1])
        words = placeholder("words", tf.string, [None])
        ids = tf.lookup.StaticHashTable(lines, -1).lookup(words)
        return {"serving_default": signature({"words": words}, {"ids": ids})}

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # so that the graph names no folder
        Path("words.txt").write_text("ship\nwater\nramp\n")
        save(version, build)


def two_inputs(version: Path) -> None:
    """A and b, float [-1, 2]: sum, product, a itself twice; `defaulted` has a default of 10 for b."""

    def build() -> Mapping[str, Any]:
        a, b = placeholder("a", tf.float32, [None, 2]), placeholder("b", tf.float32, [None, 2])
        same = tf.identity(a)
        outputs = {"sum": a + b, "product": a * b, "same": same, "again": same}
        defaulted = signature({"a": a, "b": b}, {"sum": outputs["sum"]})
        defaulted.defaults["b"].CopyFrom(tf.make_tensor_proto([[10.0, 10.0]]))
        return {"serving_default": signature({"a": a, "b": b}, outputs), "defaulted": defaulted}

    save(version, build)


def scalar_out(version: Path) -> None:
    """The mean of x, rank 0; `scalar_in` takes rank 0 and doubles it."""

    def build() -> Mapping[str, Any]:
        x, one = placeholder("x", tf.float32, [None, 2]), placeholder("one", tf.float32, [])
        return {
            "serving_default": signature({"x": x}, {"mean": tf.reduce_mean(x)}),
            "scalar_in": signature({"one": one}, {"double": 2.0 * one}),
        }

    save(version, build)


def clashing_names(version: Path) -> None:
    """TensorFlow 2 with `x` both an input and an output (x + 1), and x itself twice."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def serve(x: Any) -> Any:
        return {"x": x + 1.0, "same": x, "again": tf.identity(x), "twice": x * 2.0, "odd name/here": x * 2.0}

    tf.saved_model.save(tf.Module(), str(version), signatures={"serving_default": serve})


def no_default(version: Path) -> None:
    """Only a signature called `other`: y = 3 x."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None])
        return {"other": signature({"x": x}, {"y": 3.0 * x})}

    save(version, build)


def no_inputs(version: Path) -> None:
    """Takes nothing and answers three numbers."""
    save(version, lambda: {"serving_default": signature({}, {"numbers": tf.constant([1.0, 2.0, 3.0]) * 2.0})})


def row_sums(version: Path) -> None:
    """X float [-1, -1]: the sum of each row and the row doubled, for batches of different widths."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None, None])
        return {"serving_default": signature({"x": x}, {"sum": tf.reduce_sum(x, 1), "double": 2.0 * x})}

    save(version, build)


def centered(version: Path) -> None:
    """X float [-1, 2] less the mean of its rows, and how many they are: rows do not stand alone."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None, 2])
        rows = tf.shape(x)[0]
        outputs = {"y": x - tf.reduce_mean(x, 0, keepdims=True), "rows": tf.fill([rows], rows)}
        return {"serving_default": signature({"x": x}, outputs)}

    save(version, build)


def dense(version: Path) -> None:
    """X float [-1, 4] times a 4x3 matrix: a graph that refuses other widths."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None, 4])
        weights = tf.reshape(tf.range(12.0), [4, 3])
        return {"serving_default": signature({"x": x}, {"y": tf.matmul(x, weights)})}

    save(version, build)


def convolutions(version: Path) -> None:
    """A picture network in small: uint8 [-1, 24, 24, 3] to five probabilities, weights drawn from seed 7."""
    random = np.random.default_rng(7)

    def weights(*shape: int) -> Any:
        return tf.constant(random.normal(0, 0.5, shape).astype(np.float32))

    def build() -> Mapping[str, Any]:
        image = placeholder("image", tf.uint8, [None, 24, 24, 3])
        x = tf.cast(image, tf.float32) / 127.5 - 1.0
        x = tf.nn.relu6(tf.nn.conv2d(x, weights(3, 3, 3, 8), 2, "SAME") + weights(8))
        x = tf.nn.depthwise_conv2d(x, weights(3, 3, 8, 1), [1, 1, 1, 1], "SAME")
        x = tf.nn.relu6(x * weights(8) + weights(8))
        x = tf.nn.max_pool2d(tf.nn.conv2d(x, weights(1, 1, 8, 16), 1, "VALID"), 2, 2, "VALID")
        logits = tf.matmul(tf.reduce_mean(x, [1, 2]), weights(16, 5)) + weights(5)
        return {"serving_default": signature({"image": image}, {"probabilities": tf.nn.softmax(logits)})}

    save(version, build)


def slow(version: Path) -> None:
    """Y = 2 x, after as many rounds of a 64x64 product as the largest x says: works about as long as asked."""

    def build() -> Mapping[str, Any]:
        x = placeholder("x", tf.float32, [None, 1])
        rounds = tf.cast(tf.reduce_max(tf.concat([x[:, 0], [0.0]], 0)), tf.int32)
        square = tf.fill([64, 64], tf.reduce_sum(x) * 0.0 + 1.0)

        def work(done: Any, matrix: Any) -> Any:
            return done + 1, tf.matmul(matrix, square) / 64.0

        _, matrix = tf.while_loop(lambda done, _: done < rounds, work, (tf.constant(0), square))
        return {"serving_default": signature({"x": x}, {"y": 2.0 * x * matrix[0, 0]})}

    save(version, build)


BUILDERS: Mapping[str, Callable[[Path], None]] = {
    "half_plus_three": half_plus_three,
    "many_types": many_types,
    "strings": strings,
    "counter": counter,
    "vocabulary": vocabulary,
    "two_inputs": two_inputs,
    "scalar_out": scalar_out,
    "clashing_names": clashing_names,
    "no_default": no_default,
    "no_inputs": no_inputs,
    "row_sums": row_sums,
    "centered": centered,
    "dense": dense,
    "convolutions": convolutions,
    "slow": slow,
}
