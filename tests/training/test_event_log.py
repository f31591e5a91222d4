from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import tensorflow as tf

from training.event_log import EventLog
from training.run_folder import RunFolder

from .conftest import SILENT
from .tiny import learned, order_of


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard would show: tag and epoch to value."""
    found = {}
    for path in folder.glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.mark.filterwarnings("ignore:.*tf_record_iterator:DeprecationWarning")
def test_every_epoch_of_a_run_is_logged_with_its_learning_rate(
    pictures: Path, cache: Path, models: Path, tmp_path: Path
) -> None:
    _, run = learned(order_of(pictures, cache, models), SILENT, RunFolder(tmp_path))

    history = run.phases[0].epochs
    train, validation = (scalars(tmp_path / "tensorboard" / "training" / part) for part in ("train", "validation"))
    assert set(train) == {(tag, epoch) for tag in ("loss", "accuracy", "learning_rate") for epoch in (1, 2)}
    assert train["learning_rate", 2] == pytest.approx(1e-2)
    assert validation["loss", 1] == pytest.approx(history["val_loss"][0])
    assert validation["accuracy", 2] == pytest.approx(history["val_accuracy"][1])


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    log = EventLog(None)
    log.write(1, {"loss": 0.5})
    log.close()

    assert not list(tmp_path.iterdir())
