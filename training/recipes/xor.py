"""The smallest worked example: two numbers, and a question that one layer cannot answer.

Points lie around the corners of a square; the answer is yes where one number is near 1 and the other
near 0. No straight line parts the two kinds, so one layer stays near chance; a hidden layer parts them.
"""

from dataclasses import replace
from typing import Any

from serving.card import TableInput
from training import table_network
from training.recipe import BuildContext, Recipe, SourceSpec


def one_layer(context: BuildContext) -> Any:
    """One layer, without the hidden one."""
    return table_network.build(replace(context, settings={**context.settings, "hidden": ()}))


RECIPE = Recipe(
    name="xor",
    summary="sample: either of two numbers but not both, by a perceptron of two layers; one layer beside it",
    task="tabular",
    input=TableInput(),
    source=SourceSpec(kind="sample", dataset="sample_xor"),
    build=table_network.build,
    baseline=one_layer,
    settings={"scaling": "standard", "hidden": (8,), "activation": "tanh"},
    learning_rate=3e-2,
    schedule="cosine",
    epochs=20,
    batch_size=32,
    licence="Apache-2.0, as this project.",
    limits="A sample: it learned from points around the corners of a square and knows nothing else.",
)
