from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import numpy as np
from click.testing import CliRunner

from serving.card import ImageInput
from serving.errors import BadInput
from training import backbones, fitting, learning, recipes
from training.__main__ import cli
from training.learning import Augment, Learning, named_options
from training.prepared_cache import PreparedData
from training.recipe import Examples, Recipe
from training.session import Order
from training.train_options import chosen

from .conftest import SILENT
from .tiny import LIVELY, TINY, learned, order_of


def test_every_field_of_the_loop_is_an_option_with_a_group_and_a_sentence() -> None:
    answer = CliRunner().invoke(cli, ["train", "--help"], terminal_width=200)

    named = {one.name for one in named_options()}
    assert named == {one.name for one in fields(Learning)} - {"augment"} | {one.name for one in fields(Augment)}
    for one in named_options():
        assert f"--{one.name.replace('_', '-')}" in answer.stdout
        assert f"\n{one.metadata['group']}:\n" in answer.stdout


def test_given_options_change_the_recipe_and_the_others_stay() -> None:
    changed = chosen(LIVELY, {"learning_rate": 0.5, "flip": False, "crop": None, "dropout": 0.1})

    assert (changed.learning_rate, changed.dropout, changed.epochs) == (0.5, 0.1, LIVELY.epochs)
    assert changed.augment == replace(LIVELY.augment, flip=False)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param({"momentum": 0.9}, "momentum is an option of sgd and rmsprop, and tiny", id="momentum"),
        pytest.param({"weight_decay": 0.1}, "weight decay is an option of adamw", id="weight-decay"),
        pytest.param({"warmup_steps": 3, "warmup_epochs": 1.0}, "in steps or in epochs, not in both", id="warm-up"),
        pytest.param({"decay_rate": 0.1}, "--decay-rate is for the schedules step, exponential and 1/t", id="decay"),
        pytest.param({"dropout": 0.5}, "the network of tiny has no dropout that could be set", id="dropout"),
        pytest.param({"batch_normalization": False}, "has no batch normalization", id="batch-normalization"),
        pytest.param({"strategy": "mirrored", "precision": "mixed_float16"}, "for one device", id="float16"),
    ],
)
def test_an_option_that_cannot_have_an_effect_is_refused(given: dict[str, Any], complaint: str) -> None:
    def ask() -> None:
        recipe = chosen(TINY, given)
        learning.check(recipe.name, recipe, pictures=True)
        learning.settings_of(recipe.name, recipe, dict(recipe.settings))

    with pytest.raises(BadInput, match=complaint):
        ask()


def test_pictures_are_augmented_and_nothing_else() -> None:
    with pytest.raises(BadInput, match="does not learn from pictures"):
        learning.check("reviews", Learning(augment=Augment(flip=True)), pictures=False)


def test_options_of_the_command_line_are_refused_before_any_work(tmp_path: Path) -> None:
    places = ["--models", str(tmp_path / "m"), "--cache-dir", str(tmp_path / "c"), "--runs", str(tmp_path / "r")]

    answer = CliRunner().invoke(cli, ["train", "sample_reviews", "--flip", *places])

    assert answer.exit_code == 2
    assert answer.stderr == (
        "Error: sample_reviews does not learn from pictures, so there is nothing to flip, move, crop or color\n"
    )
    assert not list(tmp_path.iterdir())


def test_dropout_and_batch_normalization_reach_the_network(pictures: Path, cache: Path, models: Path) -> None:
    order = replace(order_of(pictures, cache, models), recipe=replace(LIVELY, epochs=1))

    def layers(recipe: Recipe) -> dict[str, Any]:
        model, _ = learned(replace(order, recipe=recipe), SILENT)
        return {type(layer).__name__: layer for layer in model.layers}

    changed = layers(replace(order.recipe, dropout=0.6, batch_normalization=False))

    assert changed["Dropout"].rate == 0.6
    assert "BatchNormalization" not in changed


def norm(model: Any) -> float:
    return sum(float(np.square(weight.numpy()).sum()) for weight in model.weights if weight.path.endswith("kernel"))


def test_l2_makes_kernels_smaller_and_counts_in_the_loss(pictures: Path, cache: Path, models: Path) -> None:
    order = order_of(pictures, cache, models)

    plain, without = learned(order, SILENT)
    small, with_it = learned(replace(order, recipe=replace(TINY, l2=0.1)), SILENT)

    assert norm(small) < norm(plain)
    assert with_it.phases[0].epochs["loss"][0] > without.phases[0].epochs["loss"][0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_learns(optimizer: Any, pictures: Path, cache: Path, models: Path) -> None:
    decay, momentum = 0.01 * (optimizer == "adamw"), 0.9 * (optimizer in {"sgd", "rmsprop"})
    recipe = replace(TINY, optimizer=optimizer, weight_decay=decay, momentum=momentum, learning_rate=3e-3, epochs=3)

    _, run = learned(replace(order_of(pictures, cache, models), recipe=recipe), SILENT)

    losses = run.phases[0].epochs["loss"]
    assert losses[-1] < losses[0]
    assert run.phases[0].epochs["learning_rate"] == [3e-3] * 3


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_and_leaves_a_float32_network(
    precision: Any, pictures: Path, cache: Path, models: Path
) -> None:
    order = replace(order_of(pictures, cache, models), recipe=replace(TINY, precision=precision))

    model, run = learned(order, SILENT)
    exact, _ = learned(order_of(pictures, cache, models), SILENT)

    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert run.phases[0].epochs["loss"][-1] < run.phases[0].epochs["loss"][0]
    ours, theirs = (np.concatenate([w.reshape(-1) for w in one.get_weights()]) for one in (model, exact))
    assert not np.array_equal(ours, theirs)  # it did compute in fewer digits
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_a_network_that_only_looks_up_has_no_use_for_l2_or_mixed_precision(tmp_path: Path) -> None:
    recipe = recipes.find("sample_reviews")
    for changed, complaint in (
        ({"l2": 0.1}, "no kernels"),
        ({"precision": "mixed_bfloat16"}, "does not compute in mixed_bfloat16"),
    ):
        order = Order(recipe=replace(recipe, **changed), models=tmp_path, cache=tmp_path)
        with pytest.raises(BadInput, match=complaint):
            learned(order, SILENT)


SMALL = [
    name
    for name in recipes.names()
    if isinstance(recipes.find(name).input, ImageInput)
    and recipes.find(name).build is not backbones.mobilenet_classifier  # takes seconds to build; test_fit.py has it
]


@pytest.mark.parametrize("name", SMALL)
def test_a_network_has_dropout_and_batch_normalization_where_its_settings_say_so(name: str, tmp_path: Path) -> None:
    recipe = recipes.find(name)
    nothing: Any = Examples(np.zeros(0), np.zeros(0), [])
    data = PreparedData(recipe.labels or ("a", "b"), nothing, nothing, nothing, "", "", (), tmp_path, ())
    order = Order(recipe=replace(recipe, backbone_weights="none"), cache=tmp_path)

    kinds = {type(layer).__name__ for layer in recipe.build(fitting.context(order, data))._flatten_layers()}

    assert ("Dropout" in kinds) == bool(recipe.settings.get("dropout"))
    if "batch_normalization" in recipe.settings:
        off = replace(order, recipe=replace(order.recipe, batch_normalization=False))
        without = {type(layer).__name__ for layer in recipe.build(fitting.context(off, data))._flatten_layers()}
        assert "BatchNormalization" in kinds
        assert "BatchNormalization" not in without
