import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import keras
import tensorflow as tf
from click.testing import CliRunner, Result

from serving import repository
from serving.card import Dataset, ImageInput, ModelCard
from serving.errors import FailedPrecondition
from serving.modelserver.runtimes.choice import load
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.preprocess import image
from training import anomaly, calibration, lite, served_model, session, versions
from training.__main__ import cli

from . import colors
from .conftest import SILENT


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures in which models are trained and published."""
    folder = tmp_path_factory.mktemp("colors")
    colors.write(folder / "pictures")
    return folder


@pytest.fixture(scope="module")
def first(home: Path) -> Any:
    """The outcome of a good version, number 1, told what noise in `others` looks like."""
    return session.train(colors.order(colors.GOOD, home, others=home / "pictures" / "train" / "red"), SILENT)


@pytest.fixture(scope="module")
def worse(home: Path, first: Any) -> Any:
    """The outcome of a bad one that comes after it."""
    return session.train(colors.order(colors.BAD, home), SILENT)


def compare(home: Path, *versions: int) -> Result:
    words = ["compare", "colors", *map(str, versions), "--source", "directory", "--data-dir", home / "pictures"]
    folders = ["--models", home / "models", "--cache-dir", home / "cache", "--quiet"]
    return CliRunner().invoke(cli, [str(word) for word in [*words, *folders]], terminal_width=200)


def test_a_network_whose_end_is_unknown_has_no_features() -> None:
    ids = keras.Input((None,), dtype="int32")
    averaged = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(5, 2)(ids))

    assert served_model.features_of(keras.Model(ids, keras.layers.Softmax()(averaged))) is None
    assert served_model.features_of(keras.Model(ids, keras.layers.Dense(2, activation="softmax")(averaged))) is averaged


@pytest.mark.parametrize("size", [6, 200])
def test_what_the_graph_computes_is_what_is_written_in_numpy(size: int) -> None:
    random = np.random.default_rng(0)
    features, labels = random.normal(0, 1, (300, size)).astype(np.float32), random.integers(0, 3, 300)
    detector = anomaly.fit(features, labels)
    entrance = keras.Input((size,))
    network = keras.Model(entrance, keras.layers.Dense(3, activation="softmax")(entrance))

    said = served_model.build(network, 1.7, detector).predict_on_batch(features)

    np.testing.assert_allclose(said["anomaly"], detector.score(features), rtol=1e-4)
    expected = calibration.scaled(network.predict_on_batch(features), 1.7)
    np.testing.assert_allclose(said["probabilities"], expected, atol=1e-6)


def test_an_answer_of_exactly_nothing_stays_a_number_in_the_graph() -> None:
    entrance = keras.Input((2,))
    said = served_model.build(
        keras.Model(entrance, keras.layers.Activation("linear")(entrance)), 0.3, None
    ).predict_on_batch(np.array([[1.0, 0.0]], np.float32))

    np.testing.assert_allclose(said["probabilities"], [[1.0, 0.0]], atol=1e-6)


def test_the_card_holds_every_measure(first: Any) -> None:
    found = first.published.card.quality

    assert found.accuracy_low < found.accuracy < found.accuracy_high
    assert found.temperature != 1
    assert found.calibration_error_unscaled is not None
    assert set(found.robustness) > {"as they are", "JPEG quality 20", "rotated by 15 degrees"}
    assert set(found.anomaly) == {"test", "noise", "blank", "drawings", "red"}
    assert set(found.auroc) == {"noise", "blank", "drawings", "red"}
    assert found.auroc["red"] < 0.9  # they are no strangers
    assert first.published.card.anomaly_threshold > 0


@pytest.mark.parametrize("runtime", ["openvino", "tensorflow"])
def test_the_score_is_an_output_of_every_signature_and_runtime(first: Any, home: Path, runtime: Any) -> None:
    files = [path.read_bytes() for path in sorted((home / "pictures" / "test" / "red").iterdir())][:4]
    pixels: NDArray[np.uint8] = np.stack([image.to_pixels(file, first.published.card.input) for file in files])
    expected = first.model.predict_on_batch(pixels)

    with closing(load(first.published.folder, RuntimeOptions(runtime=runtime, precision="f32"))) as model:
        said = model.run("serving_default", {"image": pixels})
        encoded = model.run("encoded", {"image_bytes": np.array(files, object)})

    assert said["anomaly"].shape == (4,)
    np.testing.assert_allclose(said["anomaly"], expected["anomaly"], rtol=1e-3)
    np.testing.assert_allclose(encoded["anomaly"], expected["anomaly"], rtol=0.3)


def test_the_temperature_is_in_the_graph(first: Any) -> None:
    kept = first.folder.answers("test")
    measured = first.published.card.quality

    assert calibration.error(kept.probabilities, kept.labels) == pytest.approx(measured.calibration_error)
    unscaled = calibration.scaled(kept.probabilities, 1 / measured.temperature)
    assert calibration.error(unscaled, kept.labels) == pytest.approx(measured.calibration_error_unscaled, abs=1e-3)


def test_a_version_that_is_worse_is_put_aside_and_nobody_serves_it(home: Path, worse: Any) -> None:
    assert worse.published.refused
    assert worse.published.folder == home / "models" / "colors" / ".rejected" / "2"
    assert any("accuracy changed" in sentence for sentence in worse.published.card.gate["refusals"])
    assert repository.versions(home / "models" / "colors") == [1]
    with closing(load(worse.published.folder)) as model:  # it is whole, so that one can look into it
        assert "probabilities" in model.signatures["serving_default"].outputs


def test_force_publishes_it_under_a_number_of_its_own_and_the_card_says_so(home: Path, worse: Any) -> None:
    forced = session.train(colors.order(colors.BAD, home, force=True), SILENT)
    card = repository.read_card(home / "models" / "colors" / "3")

    assert not forced.published.refused
    assert card is not None
    assert card.gate["forced"]
    assert card.gate["compared_with"] == 1
    assert card.gate["refusals"]

    versions.promote(home / "models" / "colors", 1, "stable")
    table = compare(home, 1, 3)
    assert table.exit_code == 3, table.output
    assert "worse" in table.stdout


def test_a_version_with_other_data_is_not_compared_and_the_card_says_why(
    home: Path, first: Any, tmp_path: Path
) -> None:
    colors.write(tmp_path / "pictures")
    (tmp_path / "pictures" / "train" / "red" / "1.png").unlink()
    order = replace(colors.order(colors.BAD, tmp_path), models=home / "models", trial=True)

    gate = session.train(order, SILENT).published.card.gate

    assert gate["refusals"] == []
    assert "comes from other data" in gate["remark"]


def test_a_lite_file_answers_as_the_version_and_carries_its_card(home: Path, first: Any, tmp_path: Path) -> None:
    words = ["export-lite", "colors", "--version", 1, "--source", "directory", "--data-dir", home / "pictures"]
    folders = ["--models", home / "models", "--cache-dir", home / "cache", "--output", tmp_path / "colors.tflite"]

    answer = CliRunner().invoke(cli, [str(word) for word in [*words, *folders, "--quiet"]], terminal_width=200)

    assert answer.exit_code == 0, answer.output
    assert "100.00% of 120" in answer.stdout
    card = lite.card_of(tmp_path / "colors.tflite")
    assert (card.labels, card.anomaly_threshold) == (("blue", "red"), first.published.card.anomaly_threshold)
    assert (tmp_path / "colors.tflite").stat().st_size < 60_000


def test_a_model_that_tflite_cannot_compute_is_refused_with_a_sentence(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 3], tf.uint8, name="image")])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:
        return {"probabilities": tf.linalg.svd(tf.cast(image[..., 0], tf.float32), compute_uv=False)}

    tf.saved_model.save(tf.Module(), tmp_path / "1", signatures={"serving_default": serve})
    card = ModelCard(
        name="singular", version=1, task="image_classification", labels=("a", "b", "c", "d"),
        input=ImageInput(height=4, width=4), signatures={"default": "serving_default"},
        dataset=Dataset(name="noise", source="sample"), created="2026-01-31T12:00:00Z",
    )  # fmt: skip

    with pytest.raises(FailedPrecondition, match="TFLite cannot compute what singular does: it has no Svd; nothing"):
        lite.write(tmp_path / "1", card, [], "float32", tmp_path / "singular.tflite")

    assert not (tmp_path / "singular.tflite").exists()


def test_a_report_can_be_made_again_without_the_data(home: Path, first: Any) -> None:
    first.folder.report.unlink()
    program = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from pathlib import Path
from training import report
print(report.write(report.latest(Path({str(home / "runs")!r}), {str(first.folder.path)!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(first.folder.report)
    examples = json.loads((first.folder.path / "examples.json").read_text())
    assert {one["group"] for one in examples} == {"wrong", "sample"}
