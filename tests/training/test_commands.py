import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras
from click.testing import CliRunner, Result

from serving import repository
from training import recipes, session
from training.__main__ import cli
from training.recipe import BuildContext, Examples

from .conftest import SILENT, write_pictures
from .tiny import order_of

Run = Callable[..., Result]


@pytest.fixture
def run(models: Path, cache: Path) -> Run:
    """Runs a training command on the session's folders."""

    def call(*words: str | Path, models: Path = models) -> Result:
        folders = [] if words[0] == "list" else ["--models", str(models), "--cache-dir", str(cache), "--quiet"]
        folders += ["--runs", str(cache.parent / "runs")] if words[0] == "train" else []
        return CliRunner().invoke(cli, [*(str(word) for word in words), *folders], terminal_width=200)

    return call


def test_list_names_every_recipe(run: Run) -> None:
    answer = run("list")

    assert answer.exit_code == 0
    assert set(recipes.names()) <= set(re.findall(r"\w+", answer.stdout))


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_says_what_it_is_for_and_what_not(name: str) -> None:
    recipe = recipes.find(name)

    assert recipe.name == name
    assert recipe.summary
    assert recipe.licence
    assert recipe.limits
    assert (recipe.source.kind == "sample") == (name.startswith(("shapes_", "sample_", "xor", "stock_")))


def test_the_baseline_network_has_exactly_its_parameters(tmp_path: Path) -> None:
    recipe = recipes.find("cats_vs_dogs_cnn")
    nothing: Any = Examples([], [], [])  # type: ignore[arg-type]  # the network does not look at data
    model = recipe.build(
        BuildContext(
            input=recipe.input, labels=("cat", "dog"), train=nothing, seed=0, backbone_weights="none",
            settings={}, cache_dir=tmp_path,
        )
    )  # fmt: skip

    assert model.count_params() == 13_132_322
    assert (recipe.optimizer, recipe.learning_rate) == ("rmsprop", 1e-4)


def test_train_ends_with_the_quality_the_parity_and_the_published_path(run: Run, tmp_path: Path) -> None:
    answer = run("train", "shapes_cnn", "--epochs", "1", "--name", "forms", models=tmp_path)

    assert answer.exit_code == 0, answer.output
    assert answer.stdout.rstrip().endswith(f"Published {tmp_path / 'forms' / '1'}")
    assert "sample" in answer.stdout
    assert "Accuracy" in answer.stdout
    card = repository.read_card(tmp_path / "forms" / "1")
    assert card is not None
    assert (card.name, card.dataset.source, card.training["seed"]) == ("forms", "sample", 0)


def test_a_trial_leaves_the_models_folder_alone(pictures: Path, cache: Path, tmp_path: Path) -> None:
    order = replace(order_of(pictures, cache, tmp_path / "models"), trial=True)

    outcome = session.train(order, SILENT)

    assert outcome.published.folder is None
    assert not (tmp_path / "models").exists()


def test_evaluate_measures_what_train_measured(run: Run, trained: Any, pictures: Path) -> None:
    answer = run("evaluate", "tiny", "--data-dir", pictures)

    assert answer.exit_code == 0, answer.output
    assert f"{trained.quality.accuracy:.2%}" in answer.stdout
    assert f"{trained.quality.log_loss:.4f}" in answer.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param(("train", "unicorns"), "there is no recipe 'unicorns'; there are ", id="recipe"),
        pytest.param(("train", "shapes_cnn", "--data-dir", "x"), "the samples are made by code", id="sample-dir"),
        pytest.param(("train", "flowers_mobilenet", "--source", "directory"), "needs --data-dir", id="no-dir"),
        pytest.param(
            ("train", "flowers_mobilenet", "--source", "directory", "--data-dir", "nowhere"),
            "nowhere is no",
            id="folder",
        ),
        pytest.param(("train", "shapes_cnn", "--name", "../up"), "no name for a model", id="name"),
        pytest.param(("train", "xor", "--int8"), "--int8 is for models of pictures, xor is none", id="int8"),
        pytest.param(("train", "xor", "--others", "docs"), "--others is for models of pictures, xor", id="others"),
        pytest.param(("train", "shapes_cnn", "--others", "training"), "training holds no picture", id="no-picture"),
        pytest.param(("train", "xor", "--backbone-weights", "imagenet"), "xor has no backbone", id="backbone"),
        pytest.param(("evaluate", "unicorns"), "there is no unicorns in", id="model"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    answer = run(*words, models=tmp_path / "models")

    assert answer.exit_code == 2
    assert complaint in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert not (tmp_path / "models").exists()


def test_labels_that_do_not_fit_the_outputs_are_refused_before_training(run: Run, tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", {"circle": 4, "star": 4})

    answer = run("train", "flowers_mobilenet", "--source", "directory", "--data-dir", data, models=tmp_path / "models")

    assert answer.exit_code == 2
    assert "the label 'circle', which no output stands for; flowers_mobilenet has 5 outputs" in answer.stderr


def test_a_full_disk_publishes_nothing_and_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    network.save(tmp_path / "model.keras")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    options = ("--name", "x", "--labels", tmp_path / "labels.txt", "--task", "image_classification")

    answer = run("import", tmp_path / "model.keras", *options, models=tmp_path / "models")

    assert answer.exit_code == 2
    assert "no space left on the disk" in answer.stderr
    assert not (tmp_path / "models" / "x").exists()


def test_a_run_killed_while_it_exports_publishes_nothing_and_the_next_one_does(
    pictures: Path, cache: Path, tmp_path: Path
) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from tests.training.tiny import order_of
        from training import parity, session
        from training.progress import Progress
        if sys.argv[4] == "killed":
            parity.compare = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        session.train(order_of(*(Path(word) for word in sys.argv[1:4])), Progress(visible=False))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(pictures), str(cache), str(tmp_path)]
    quiet = {"env": os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, "stderr": subprocess.DEVNULL, "timeout": 120}

    first = subprocess.run([*command, "killed"], check=False, **quiet)  # type: ignore[call-overload]
    assert first.returncode == -signal.SIGKILL
    assert repository.models(tmp_path) == []

    second = subprocess.run([*command, "spared"], check=False, **quiet)  # type: ignore[call-overload]
    assert second.returncode == 0
    assert repository.models(tmp_path) == ["tiny"]


def test_a_run_that_does_not_say_what_was_asked_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "name": "forms"}')
    answer = CliRunner().invoke(cli, ["resume", str(tmp_path)])

    assert answer.exit_code == 2
    assert "begin the run anew" in answer.stderr
