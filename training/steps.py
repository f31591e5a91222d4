"""One step of learning, and the answers in between: gradients, penalties, mixed precision, replicas.

`phase.py` calls these; which devices there are says `strategies.py`. The loss of a batch is the mean over all of
its examples however many replicas share it, so the gradient does not depend on their number.
"""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.learning import Learning
from training.strategies import Strategy

Loss = Callable[[Any, Any], Any]
"""(labels [N], what the model says [N, C]) -> the loss of every example [N]."""


class Learner:
    """A model, its optimizer and its loss."""

    def __init__(self, model: Any, how: Learning, loss: Loss, strategy: Strategy, *, classes: bool) -> None:
        """Args: classes: it tells labels apart; otherwise it answers a number."""
        self.model, self._loss, self._strategy = model, loss, strategy
        self._closeness = _hits if classes else _errors
        with strategy.spread.scope():
            self._optimizer = _optimizer(how)
            self._optimizer.build(model.trainable_variables)
        self._step = tf.function(self._everywhere, reduce_retracing=True)
        self._ask = tf.function(self._answered, reduce_retracing=True)

    @property
    def variables(self) -> list[Any]:
        """Everything that a step changes: weights, random states, the optimizer's memory."""
        return [*self.model.variables, *self._optimizer.variables]

    def learn(self, inputs: NDArray[Any], labels: NDArray[Any], rate: float) -> tuple[float, float]:
        """Change the weights by one batch; returns its mean loss and the sum of its hits (or absolute errors)."""
        self._optimizer.learning_rate.assign(rate)
        count = tf.constant(len(labels), tf.float32)
        loss, closeness = self._step(self._shares(inputs), self._shares(labels), count)
        return float(loss), float(closeness)

    def check(self, batches: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[float, float]:
        """Mean loss and mean hit (or absolute error) over all batches, without learning."""
        total = np.zeros(2)
        examples = 0
        for inputs, labels in batches:
            total += [float(value) for value in self._ask(inputs, labels)]
            examples += len(labels)
        loss, closeness = total / examples
        return float(loss) + float(self._penalty()), float(closeness)

    def level(self) -> None:
        """Make the moving averages of batch normalization the mean over all replicas; all processes at once."""
        spread = self._strategy.spread
        if self._strategy.replicas == 1:
            return
        averages = [one for one in self.model.non_trainable_variables if "float" in str(one.dtype)]
        local = spread.run(tf.function(lambda: [one.value + 0 for one in averages]))
        for one, value in zip(averages, local, strict=True):
            one.assign(spread.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None))

    def agree(self, flag: bool) -> bool:
        """Whether any of the processes says yes; all of them ask at once."""
        if self._strategy.replicas == 1:
            return flag
        spread = self._strategy.spread
        said = spread.run(tf.function(lambda: tf.constant(float(flag))))
        return float(spread.reduce(tf.distribute.ReduceOp.SUM, said, axis=None)) > 0

    def _shares(self, values: NDArray[Any]) -> Any:
        """Every replica's rows; each has at least one, see `phase.py`."""
        replicas = self._strategy.replicas
        if replicas == 1:
            return tf.constant(values)
        return self._strategy.spread.experimental_distribute_values_from_function(
            lambda place: tf.constant(values[place.replica_id_in_sync_group :: replicas])
        )

    def _everywhere(self, inputs: Any, labels: Any, count: Any) -> tuple[Any, Any]:
        spread = self._strategy.spread
        loss, closeness = spread.run(self._one_step, args=(inputs, labels, count))
        add = tf.distribute.ReduceOp.SUM
        return spread.reduce(add, loss, axis=None), spread.reduce(add, closeness, axis=None)

    def _one_step(self, inputs: Any, labels: Any, count: Any) -> tuple[Any, Any]:
        """One replica's share; the optimizer adds the gradients of all."""
        with tf.GradientTape() as tape:
            said = self.model(inputs, training=True)
            share = tf.reduce_sum(tf.cast(self._loss(labels, said), tf.float32)) / count
            loss = share + self._penalty() / self._strategy.replicas
            scaled = self._optimizer.scale_loss(loss)
        weights = self.model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))
        return loss, self._closeness(labels, said)

    def _answered(self, inputs: Any, labels: Any) -> tuple[Any, Any]:
        said = self.model(inputs, training=False)
        return tf.reduce_sum(tf.cast(self._loss(labels, said), tf.float32)), self._closeness(labels, said)

    def _penalty(self) -> Any:
        """What L2 adds to the loss: weight * sum of squares of every kernel (Krogh and Hertz 1991)."""
        return tf.add_n([tf.cast(one, tf.float32) for one in self.model.losses] or [tf.constant(0.0)])


def _hits(labels: Any, said: Any) -> Any:
    right = tf.argmax(said, axis=-1, output_type=tf.int32) == tf.cast(labels, tf.int32)
    return tf.reduce_sum(tf.cast(right, tf.float32))


def _errors(labels: Any, said: Any) -> Any:
    return tf.reduce_sum(tf.abs(tf.reshape(tf.cast(said, tf.float32), (-1,)) - tf.cast(labels, tf.float32)))


def _optimizer(how: Learning) -> Any:
    """Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), RMSprop (Hinton 2012), SGD with
    Nesterov's momentum (Sutskever et al. 2013); the rate is set before every step.
    """  # noqa: D205
    kinds, rate = keras.optimizers, how.learning_rate
    make: dict[str, Callable[[], Any]] = {
        "adam": lambda: kinds.Adam(rate),
        "adamw": lambda: kinds.AdamW(rate, weight_decay=how.weight_decay),
        "rmsprop": lambda: kinds.RMSprop(rate, momentum=how.momentum),
        "sgd": lambda: kinds.SGD(rate, momentum=how.momentum, nesterov=how.momentum > 0),
    }
    optimizer = make[how.optimizer]()
    return kinds.LossScaleOptimizer(optimizer) if how.precision == "mixed_float16" else optimizer


def crossentropy(label_smoothing: float) -> Loss:
    """The loss of every example that has one right label, in nats.

    With smoothing s the truth is 1 - s + s / C for the right label and s / C for the others (Szegedy et al. 2016).
    """
    if not label_smoothing:
        return lambda labels, said: keras.losses.sparse_categorical_crossentropy(labels, said)

    def smoothed(labels: Any, said: Any) -> Any:
        truth = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32"), said.shape[-1])
        return keras.losses.categorical_crossentropy(truth, said, label_smoothing=label_smoothing)

    return smoothed
