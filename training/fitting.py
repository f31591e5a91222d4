"""From a recipe to a fitted network: built as its options say, taught, and handed on as a plain model.

Several devices and mixed precision are matters of learning alone. What leaves this room computes in
float32 on one device, so everything after it (measures, export, parity) sees one kind of model.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from serving.errors import BadInput
from training import fit
from training.interruption import Interruption, Stopped
from training.learning import Precision, settings_of
from training.order import Order
from training.prepared_cache import PreparedData
from training.progress import Progress
from training.recipe import BuildContext
from training.run_folder import RunFolder
from training.strategies import Strategy

_KERNELS = ("kernel", "embeddings")
"""How the names of weights end that L2 keeps small; biases and normalization stay free."""


def fitted(
    order: Order, data: PreparedData, progress: Progress, strategy: Strategy, folder: RunFolder | None
) -> tuple[Any, fit.Run]:
    """The model after all phases of learning, and what they came to.

    Args:
        order: what was asked for.
        data: what to learn from.
        progress: where to show it.
        strategy: over which devices.
        folder: of the run, for checkpoints and logs; None keeps nothing.

    Raises:
        BadInput: the network does not fit the data or an option, or its loss is not a number any more.
        Stopped: someone asked to stop; the run can go on.
    """
    recipe = order.recipe
    run = fit.Run(
        recipe=recipe, data=data, seed=order.seed, cache=order.cache, progress=progress, strategy=strategy,
        folder=folder.path if folder else None, stop=Interruption(),
    )  # fmt: skip
    with run.stop.heeded(progress):
        model = _built(order, data, strategy)
        fit.fit(model, run)
    if run.stop.asked:
        raise Stopped("stopped after the last epoch, before anything was measured")
    if recipe.precision != "float32" or strategy.replicas > 1:
        model = _plain(model, order, data)
    return (recipe.finish(model) if recipe.finish else model), run


def baseline(order: Order, data: PreparedData, progress: Progress) -> dict[str, Any]:
    """What a simpler network comes to on the validation split, for the card; nothing where the recipe names none."""
    recipe = order.recipe
    if recipe.baseline is None:
        return {}
    _reproducible(order.seed)
    name = (recipe.baseline.__doc__ or recipe.baseline.__name__).strip().rstrip(".")
    progress.say(f"To compare with: {name}")
    model = recipe.baseline(context(order, data))
    run = fit.Run(recipe=recipe, data=data, seed=order.seed, cache=order.cache, progress=progress)
    fit.fit(model, run)
    last = {key: round(values[-1], 5) for key, values in run.phases[-1].epochs.items() if key.startswith("val_")}
    return {"baseline": {"name": name, "parameters": model.count_params(), **last}}


def context(order: Order, data: PreparedData) -> BuildContext:
    """What a recipe's network is built from.

    Raises:
        BadInput: an option of the network that it does not have.
    """
    recipe = order.recipe
    return BuildContext(
        input=recipe.input,
        labels=data.labels,
        train=data.train,
        seed=order.seed,
        backbone_weights=order.backbone_weights or recipe.backbone_weights,
        settings=settings_of(recipe.name, recipe, dict(recipe.settings)),
        cache_dir=order.cache,
    )


def check_outputs(model: Any, labels: tuple[str, ...], name: str) -> None:
    """Refuse a network whose outputs are not one per label.

    Raises:
        BadInput: names the first label without an output, or says how many outputs are left over.
    """
    outputs = model.output_shape[-1]
    if not labels and outputs == 1:
        return
    if outputs < len(labels):
        raise BadInput(f"the label {labels[outputs]!r} has no output: {name} has {outputs} for {len(labels)} labels")
    if outputs > len(labels):
        raise BadInput(f"{name} has {outputs} outputs for {len(labels)} labels: the last label is {labels[-1]!r}")


def _reproducible(seed: int) -> None:
    """The same seed on the same machine gives the same numbers, to the last bit."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _built(order: Order, data: PreparedData, strategy: Strategy) -> Any:
    recipe = order.recipe
    _reproducible(order.seed)
    keras.config.set_dtype_policy(recipe.precision)
    try:
        with strategy.spread.scope():
            model = recipe.build(context(order, data))
    except (TypeError, ValueError) as error:
        if recipe.precision == "float32":
            raise
        raise BadInput(f"the network of {recipe.name} does not compute in {recipe.precision}") from error
    finally:
        keras.config.set_dtype_policy("float32")
    check_outputs(model, data.labels, recipe.name)
    kernels = [one for one in model.weights if one.path.endswith(_KERNELS)]
    if recipe.precision != "float32":
        _end_in_float32(model, recipe.name, recipe.precision, kernels)
    if recipe.l2 is not None and "l2" not in recipe.settings:
        if not kernels:
            raise BadInput(f"the network of {recipe.name} has no kernels that L2 could keep small")
        for one in kernels:
            one.regularizer = keras.regularizers.L2(recipe.l2)
    return model


def _end_in_float32(model: Any, name: str, precision: Precision, kernels: list[Any]) -> None:
    """The last layer's softmax, and the loss of it, need the digits that 16 bits do not have."""
    if not kernels:
        raise BadInput(f"the network of {name} does not compute in {precision}: it only looks weights up")
    model.layers[-1].dtype_policy = "float32"


def _plain(model: Any, order: Order, data: PreparedData) -> Any:
    """The same weights in a network of one device and float32."""
    twin = order.recipe.build(context(order, data))
    twin.set_weights(model.get_weights())
    return twin


def weights_name(order: Order) -> str:
    """The file name of the backbone's weights, for the card."""
    return Path(order.backbone_weights or order.recipe.backbone_weights).name
