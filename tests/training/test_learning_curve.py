import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from click.testing import CliRunner
from PIL import Image

from serving.card import TextInput
from training import curve_page, learning_curve
from training.__main__ import cli
from training.interruption import Stopped
from training.progress import Advance, Progress
from training.recipe import Examples, RaggedIds

from . import colors
from .conftest import SILENT


def test_fewer_examples_are_some_of_every_class_and_the_others_stay(tmp_path: Path) -> None:
    colors.write(tmp_path / "pictures")
    order = colors.order(replace(colors.GOOD, epochs=2), tmp_path)

    few, all_of_them = learning_curve.measure(order, [0, 1], SILENT, shares=(0.25, 1.0))
    page = tmp_path / "curve" / "learning-curve.html"
    curve_page.write([few, all_of_them], page, "colors")

    assert (few.examples, all_of_them.examples) == (28, 108)
    for name in ("accuracy", "calibration_error"):
        assert len(few.found[name]) == len(all_of_them.found[name]) == 2
        assert all(0 <= value <= 1 for value in few.found[name])
        with Image.open(page.with_name(f"learning-curve-{name}.png")) as image:
            assert min(image.size) > 200
    kept = json.loads((tmp_path / "curve" / "learning-curve.json").read_text())
    assert [one["examples"] for one in kept] == [28, 108]
    assert kept[1]["accuracy"] == list(all_of_them.found["accuracy"])
    assert page.read_text().count("data:image/png;base64,") == 3


def test_the_command_measures_a_model_that_answers_a_number(tmp_path: Path) -> None:
    words = ["learning-curve", "stock_regression", "--epochs", "2", "--seeds", "1", "--quiet"]
    answer = CliRunner().invoke(cli, [*words, "--cache-dir", str(tmp_path / "cache"), "--runs", str(tmp_path)])

    assert answer.exit_code == 0, answer.output
    page = tmp_path / "stock_regression" / "learning-curve" / "learning-curve.html"
    assert answer.stdout.splitlines()[-1] == str(page)
    kept = json.loads(page.with_suffix(".json").read_text())
    counts = [one["examples"] for one in kept]
    assert counts[3] > 7 * counts[0] > 0
    assert all(one["mae"][0] > 0 for one in kept)
    assert "Mean absolute error" in page.read_text()


class Pressing(Progress):
    """Presses Ctrl-C while the second network learns."""

    def __init__(self) -> None:
        super().__init__(visible=False)
        self.networks = 0

    @contextlib.contextmanager
    def steps(self, what: str, total: int) -> Iterator[Advance]:
        self.networks += "epoch" in what
        if "epoch" in what and self.networks == 2:
            signal.raise_signal(signal.SIGINT)
        yield lambda steps=1, note="": None


def test_a_study_that_is_stopped_in_a_last_epoch_has_the_sizes_that_were_done(tmp_path: Path) -> None:
    colors.write(tmp_path / "pictures")
    order = colors.order(replace(colors.GOOD, epochs=1), tmp_path)
    pressing = Pressing()
    done: list[learning_curve.Point] = []

    with pytest.raises(Stopped):
        done.extend(learning_curve.measure(order, [0], pressing))

    assert len(done) == 1
    assert pressing.networks == 2


@pytest.mark.parametrize("word", ["--log-devices", "--strategy=multi-worker"])
def test_what_a_learning_curve_does_not_do_is_refused(word: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(cli, ["learning-curve", "xor", word, "--runs", str(tmp_path)])

    assert answer.exit_code == 2
    assert "no multi-worker, no --log-devices" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_chosen_texts_keep_their_own_n_grams() -> None:
    texts = Examples(RaggedIds(np.arange(10, dtype=np.int32), np.array([0, 3, 3, 7, 10])), np.arange(4), list("abcd"))

    chosen = learning_curve._chosen(texts, np.array([0, 1, 3]))

    padded = chosen.batch([0, 1, 2], TextInput(bits=4))
    assert padded.tolist() == [[0, 1, 2], [16, 16, 16], [7, 8, 9]]
    assert chosen.names == ["a", "b", "d"]
    assert chosen.labels.tolist() == [0, 1, 3]
