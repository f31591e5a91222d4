import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from PIL import Image

from serving.card import TextInput
from training import learning_curve
from training.recipe import Examples, RaggedIds

from . import colors
from .conftest import SILENT


def test_fewer_examples_are_some_of_every_class_and_the_others_stay(tmp_path: Path) -> None:
    colors.write(tmp_path / "pictures")
    order = colors.order(replace(colors.GOOD, epochs=2), tmp_path)

    few, all_of_them = learning_curve.measure(order, [0, 1], SILENT, shares=(0.25, 1.0))
    plot = learning_curve.write([few, all_of_them], tmp_path / "curve", "colors")

    assert (few.examples, all_of_them.examples) == (28, 108)
    assert len(few.accuracy) == len(all_of_them.accuracy) == 2
    assert all(0 <= value <= 1 for value in (*few.accuracy, *few.calibration_error))
    with Image.open(plot) as image:
        assert min(image.size) > 200
    assert [one["examples"] for one in json.loads((tmp_path / "curve" / "learning-curve.json").read_text())] == [
        28,
        108,
    ]


def test_chosen_texts_keep_their_own_n_grams() -> None:
    texts = Examples(RaggedIds(np.arange(10, dtype=np.int32), np.array([0, 3, 3, 7, 10])), np.arange(4), list("abcd"))

    chosen = learning_curve._chosen(texts, np.array([0, 1, 3]))

    padded = chosen.batch([0, 1, 2], TextInput(bits=4))
    assert padded.tolist() == [[0, 1, 2], [16, 16, 16], [7, 8, 9]]
    assert chosen.names == ["a", "b", "d"]
    assert chosen.labels.tolist() == [0, 1, 3]
