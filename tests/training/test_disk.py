"""Names that are no UTF-8, disks that are full, labels in an order of their own: what a real folder brings along."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import tensorflow as tf

from training import fit, imported_model, quality, saved_model_writer, session
from training.class_folders import ClassFolders
from training.datasets import SourceChoice
from training.evaluation import Question, evaluate
from training.imported_model import Import
from training.prepared_cache import prepared
from training.progress import Progress
from training.run_folder import Answers, RunFolder

from .conftest import SILENT, write_pictures
from .tiny import TINY, learned, order_of


@pytest.mark.parametrize(
    ("error", "number"),
    [
        pytest.param(tf.errors.ResourceExhaustedError(None, None, "No space left on device"), errno.ENOSPC, id="full"),
        pytest.param(tf.errors.PermissionDeniedError(None, None, "read-only"), errno.EIO, id="other"),
    ],
)
def test_a_disk_error_of_tensorflow_is_one_of_python(error: Exception, number: int) -> None:
    def write() -> None:
        with saved_model_writer.disk_errors():
            raise error

    with pytest.raises(OSError) as caught:  # noqa: PT011  the number is what tells
        write()
    assert caught.value.errno == number


def test_a_saved_model_on_a_full_disk_is_no_space_left(tmp_path: Path) -> None:
    """/dev/full takes no byte, as a full disk does."""
    (tmp_path / "saved_model.pb").symlink_to("/dev/full")

    def write() -> None:
        with saved_model_writer.disk_errors(), tf.io.gfile.GFile(str(tmp_path / "saved_model.pb"), "w") as file:
            file.write("content" * 10_000)

    with pytest.raises(OSError, match=r"(?i)no space left|full") as caught:
        write()
    assert caught.value.errno == errno.ENOSPC


def test_pictures_with_names_that_are_no_utf_8_are_learned_from_and_listed(tmp_path: Path, cache: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", {"circle": 12, "star": 12})
    for path in sorted((pictures / "star").iterdir()):
        os.rename(path, os.fsencode(path.parent) + b"/caf\xe9-" + os.fsencode(path.name))
    (pictures / "star" / os.fsdecode(b"\xff.jpg")).write_bytes(b"no picture")

    for path in list((pictures / "circle").iterdir()):
        for number in range(9):
            (pictures / "circle" / f"{number}-{path.name}").write_bytes(path.read_bytes() + bytes([number]))
    data = prepared(ClassFolders(pictures, "names"), TINY.input, cache, SILENT, lambda labels: None)

    names = [name for split in (data.train, data.validation, data.test) for name in split.names]
    assert sum("caf\udce9" in name for name in names) == 12
    assert [line.partition(":")[0] for line in data.unreadable] == ["star/\udcff.jpg"]
    assert b"star/\\udcff.jpg" in (data.folder / "unreadable.txt").read_bytes()
    folder = RunFolder.create(tmp_path / "runs", "names", 0)
    folder.write_answers("test", Answers([[0.5, 0.5]] * len(data.test), data.test.labels, data.test.names))  # type: ignore[arg-type]
    assert list(folder.answers("test").names) == list(data.test.names)


class Spoiling(Progress):
    """Once the export has begun, nothing can be written into the folders of runs any more."""

    def __init__(self, runs: Path) -> None:
        super().__init__(visible=False)
        self.runs, self.said = runs, ""

    def say(self, sentence: str) -> None:
        """Listen, and put folders where run.json is written aside."""
        self.said += f"{sentence}\n"
        if sentence.startswith("Exporting"):
            for facts in self.runs.rglob("run.json"):
                facts.with_name(f".run.json.{os.getpid()}.tmp").mkdir()


def test_what_was_published_stays_so_if_the_run_cannot_be_brought_up_to_date(
    pictures: Path, cache: Path, tmp_path: Path
) -> None:
    order = replace(order_of(pictures, cache, tmp_path / "models"), runs=tmp_path / "runs")
    progress = Spoiling(order.runs)

    outcome = session.train(order, progress)

    assert outcome.published.folder is not None
    assert outcome.published.folder.is_dir()
    assert "could not be brought up to date" in progress.said


def test_evaluate_counts_by_the_labels_of_an_imported_model_whatever_their_order(
    pictures: Path, cache: Path, models: Path, tmp_path: Path
) -> None:
    """The same network with its two outputs, and its labels, exchanged."""
    model, run = learned(order_of(pictures, cache, models), SILENT)
    expected = quality.measure(fit.answers(model, run.data.test, TINY.input, SILENT), run.data.test.labels)
    *first, kernel, bias = model.get_weights()
    model.set_weights([*first, kernel[:, ::-1], bias[::-1]])
    model.save(tmp_path / "turned.keras")
    (tmp_path / "labels.txt").write_text("star\ncircle\n")
    wanted = Import(
        path=tmp_path / "turned.keras", name="turned", labels_file=tmp_path / "labels.txt",
        task="image_classification", models=tmp_path / "models", cache=cache,
    )  # fmt: skip
    imported_model.publish(wanted, SILENT)

    choice = SourceChoice(kind="directory", data_dir=pictures)
    found = evaluate(Question(name="turned", models=tmp_path / "models", cache=cache, choice=choice), SILENT).quality

    assert found is not None
    assert found.accuracy == expected.accuracy
    assert found.log_loss == pytest.approx(expected.log_loss, rel=1e-4)
