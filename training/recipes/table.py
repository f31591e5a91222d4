"""A team's own table: numbers in, a label or a number out.

`python -m training train table --data-dir FILE.csv --target COLUMN --name NAME`. Words in the target column
make a classifier of them, numbers a model that answers a number.
"""

from serving.card import TableInput
from training import table_network
from training.recipe import Recipe, SourceSpec

RECIPE = Recipe(
    name="table",
    summary="your own CSV file (--data-dir FILE --target COLUMN), by a small network; a label or a number out",
    task="tabular",
    input=TableInput(),
    source=SourceSpec(kind="table", dataset="table"),
    build=table_network.build,
    settings={"scaling": "standard", "hidden": (32, 32), "l2": 1e-5},
    learning_rate=3e-3,
    schedule="cosine",
    epochs=60,
    batch_size=32,
    licence="As the table's.",
    limits="Answers for numbers outside of the ranges that its card states are guesses.",
)
