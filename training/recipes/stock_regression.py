"""A number out: what a made-up share closes at tomorrow, by linear regression on today's five numbers.

Min-max scaling stands inside the graph, L2 keeps the weights small, and the learning rate falls exponentially.
"""

from serving.card import TableInput
from training import table_network
from training.recipe import Recipe, SourceSpec

RECIPE = Recipe(
    name="stock_regression",
    summary="sample: tomorrow's price of a made-up share, by linear regression",
    task="tabular",
    input=TableInput(),
    source=SourceSpec(kind="sample", dataset="sample_stock"),
    build=table_network.build,
    settings={"scaling": "minmax", "l2": 1e-5},
    learning_rate=0.1,
    schedule="exponential",
    decay_rate=0.5,
    decay_epochs=6.0,
    epochs=40,
    batch_size=128,
    licence="Apache-2.0, as this project.",
    limits="A sample: the share is made up by code, and no model knows what a real one does tomorrow.",
)
