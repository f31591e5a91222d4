"""OpenVINO runs what it computes as TensorFlow does, bit for bit in integers; the rest is left to TensorFlow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import tensorflow as tf

from serving.errors import ServingError, Unimplemented
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.choice import ServedModel
from serving.modelserver.runtimes.protocol import LoadedModel, RuntimeOptions
from tests.saved_models.graph import placeholder, save, signature

Build = Callable[[Any, Any], Any]
NARROW, WORDS, LONG = ("int8", "uint8", "int16"), ("int32",), ("int64", "uint32")
TYPES = (*NARROW, *WORDS, *LONG)
bitwise = tf.bitwise


def hashed(a: Any, b: Any) -> Any:
    mixed = bitwise.bitwise_xor(a * 31 + b * 17 + 7, bitwise.right_shift(a, tf.constant(3, a.dtype)))
    return bitwise.bitwise_and(mixed, tf.constant(0xFFFF, a.dtype))


def at_index(a: Any, _: Any) -> Any:
    index = bitwise.bitwise_and(a, tf.constant(3, a.dtype))
    return tf.gather(tf.constant([1.0, 2.0, 3.0, 4.0]), tf.where(index < 2, index + 2, index))


MOVES: Mapping[str, Build] = {
    "concat": lambda a, b: tf.concat([a, b], 0),
    "gather": lambda a, b: tf.gather(a, [0, 2]),
    "where": lambda a, b: tf.where(a > 5, a, b),
    "reshape": lambda a, b: tf.reshape(tf.stack([a, b]), [-1, 2]),
    "slice": lambda a, b: tf.pad(a[1:], [[1, 1]]),
    "to_float": lambda a, b: tf.cast(a, tf.float32) / 255.0,
    "is_zero": lambda a, b: tf.equal(a, 0),
    "one_hot": lambda a, b: tf.one_hot(tf.cast(a, tf.int32), 4),
    "clip": lambda a, b: tf.maximum(tf.minimum(a, b), 1),
    "from_float": lambda a, b: tf.cast(tf.cast(a, tf.float32) / 3.0, tf.int32) + 1,
    "count": lambda a, b: tf.reduce_sum(tf.cast(a > 0, tf.int32)),
    "largest_at": lambda a, b: tf.argmax(a),
    "top": lambda a, b: tf.math.top_k(a, 3)[0],
}
ARITHMETIC: Mapping[str, Build] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b + a,
    "square": lambda a, b: tf.square(a),
    "sums": lambda a, b: tf.cumsum(a),
    "product": lambda a, b: tf.reduce_prod(a),
    "float_of_sum": lambda a, b: tf.cast(a + b, tf.float32),
}
IN_FLOATS: Mapping[str, Build] = {
    "sum": lambda a, b: tf.reduce_sum(a),
    "mean": lambda a, b: tf.reduce_mean(a),
    "half": lambda a, b: a // 2,
    "unique": lambda a, b: tf.unique(a)[0],
}
WORDS_IN_FLOATS: Mapping[str, Build] = {
    "remainder": lambda a, b: tf.math.floormod(a, 10),
    "largest": lambda a, b: tf.reduce_max(a),
    "reverse": lambda a, b: tf.reverse(a, [0]),
    "same": lambda a, b: tf.equal(a, b),
    "chosen_sum": lambda a, b: tf.where(a > 0, a * 2, b),
}


WIDENED: Mapping[str, Build] = {
    "long_from_float": lambda a, b: tf.cast(tf.cast(a, tf.float32) * 3.0, tf.int64),
    "unsigned": lambda a, b: tf.cast(tf.cast(a, tf.uint32), tf.float32),
}


def cases(types: tuple[str, ...], *groups: Mapping[str, Build]) -> dict[str, tuple[str, Build]]:
    return {f"{name}_{kind}": (kind, build) for kind in types for group in groups for name, build in group.items()}


KEPT = {
    **cases((*NARROW, *WORDS, *LONG), MOVES),
    **cases(WORDS, ARITHMETIC, {"hash": hashed}),
    **cases(("int32", "int64"), {"at_index": at_index}),
}
REFUSED = {
    **cases(NARROW, ARITHMETIC, IN_FLOATS),
    **cases(LONG, ARITHMETIC, IN_FLOATS, WORDS_IN_FLOATS),
    **cases(WORDS, IN_FLOATS, WORDS_IN_FLOATS, WIDENED),
}


def built() -> Mapping[str, Any]:
    fed = {kind: [placeholder(f"{side}_{kind}", tf.as_dtype(kind), [None]) for side in "ab"] for kind in TYPES}
    f = placeholder("f", tf.float32, [None])
    with tf.control_dependencies([tf.compat.v1.debugging.assert_positive(f, message="must be positive")]):
        positive = 2.0 * f
    with tf.control_dependencies([tf.compat.v1.debugging.assert_less(tf.shape(f)[0], 99)]):
        few = 2.0 * f
    found = {
        name: signature(dict(zip("ab", fed[kind], strict=True)), {"y": build(*fed[kind])})
        for name, (kind, build) in {**KEPT, **REFUSED}.items()
    }
    finite = tf.debugging.check_numerics(f, "must be finite")
    sides = {"positive": positive, "few": few, "finite": finite, "serving_default": f + 1.0}
    return found | {name: signature({"f": f}, {"y": y}) for name, y in sides.items()}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("integers") / "1"
    save(folder, built)
    return folder


@pytest.fixture(scope="module")
def ours(version: Path) -> Iterator[ServedModel]:
    with closing(choice.load(version, RuntimeOptions(runtime="openvino"))) as model:
        assert isinstance(model, ServedModel)
        yield model


@pytest.fixture(scope="module")
def theirs(version: Path) -> Iterator[LoadedModel]:
    with closing(choice.load(version, RuntimeOptions(runtime="tensorflow"))) as model:
        yield model


def samples(kind: str) -> Iterator[dict[str, NDArray[Any]]]:
    """Random values, the extremes, and neighbors that float32 cannot tell apart; no more than 32 bits."""
    random, limits = np.random.default_rng(7), np.iinfo(kind)
    low, high = max(limits.min, -(2**31)), min(limits.max, 2**31 - 1)
    extremes = [low, low + 1, 0, 1, high - 1, high]
    for _ in range(10):
        yield {alias: random.integers(low, high, 5, endpoint=True).astype(kind) for alias in "ab"}
        yield {alias: random.choice(extremes, 5).astype(kind) for alias in "ab"}
        first = min(high, 2**24) - 4
        yield {alias: random.integers(first, first + 4, 5).astype(kind) for alias in "ab"}


@pytest.mark.parametrize("name", KEPT)
def test_what_stays_on_openvino_is_what_tensorflow_answers(name: str, ours: ServedModel, theirs: LoadedModel) -> None:
    for inputs in samples(KEPT[name][0]):
        fed = inputs if {"a", "b"} == ours.signatures[name].inputs.keys() else {}
        mine, expected = ours.run(name, fed)["y"], theirs.run(name, fed)["y"]
        assert mine.dtype == expected.dtype
        if mine.dtype == np.float32:
            np.testing.assert_allclose(mine, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("name", [*REFUSED, "positive", "finite"])
def test_what_openvino_computes_otherwise_is_left_to_tensorflow(name: str, ours: ServedModel) -> None:
    with pytest.raises(Unimplemented, match=r"exact|float32|cut to 32 bits|other values|checks would be lost"):
        ours.run(name, {})


def test_a_check_of_values_fails_where_tensorflow_is_installed(version: Path) -> None:
    with closing(choice.load(version, RuntimeOptions())) as model:
        assert model.run("positive", {"f": np.ones(1, np.float32)})["y"].tolist() == [2]
        with pytest.raises(ServingError, match="must be positive"):
            model.run("positive", {"f": -np.ones(1, np.float32)})


def test_a_check_of_shapes_alone_stays_on_openvino(ours: ServedModel) -> None:
    assert ours.run("few", {"f": np.ones(1, np.float32)})["y"].tolist() == [2]
