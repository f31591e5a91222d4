import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from serving.card import ImageInput, TextInput
from serving.errors import BadInput
from serving.preprocess import image, text
from training.class_archive import ClassArchive
from training.class_folders import ClassFolders
from training.prepared_cache import PreparedData, prepared, written_aside
from training.recipe import RaggedIds

from .conftest import SILENT, write_pictures

SPEC = ImageInput(height=20, width=30)


def any_labels(found: Sequence[str]) -> None:
    assert found


def prepare(
    folder: Path, cache: Path, spec: ImageInput = SPEC, check: Callable[..., None] = any_labels
) -> PreparedData:
    return prepared(ClassFolders(folder, "shapes"), spec, cache, SILENT, check)


def test_pictures_are_prepared_by_the_code_that_serves(pictures: Path, tmp_path: Path) -> None:
    data = prepare(pictures, tmp_path)

    assert isinstance(data.test.inputs, np.ndarray)
    for pixels, name, label in zip(data.test.inputs, data.test.names, data.test.labels, strict=True):
        np.testing.assert_array_equal(pixels, image.to_pixels((pictures / name).read_bytes(), SPEC))
        assert name.startswith(f"test/{data.labels[label]}/")


def test_texts_are_prepared_by_the_code_that_serves(review_archive: Path, tmp_path: Path) -> None:
    spec = TextInput(bits=12, orders=2)
    source = ClassArchive(review_archive, "imdb")
    data = prepared(source, spec, tmp_path, SILENT, any_labels)
    originals = {one.name: one.read() for one in source.read().train}

    assert isinstance(data.train.inputs, RaggedIds)
    rows = list(range(len(data.train)))
    expected = text.to_batch([originals[data.train.names[row]] for row in rows], spec)
    np.testing.assert_array_equal(data.train.batch(rows, spec), expected)


def test_a_second_run_reads_what_the_first_prepared(pictures: Path, tmp_path: Path) -> None:
    first = prepare(pictures, tmp_path)
    written = (first.folder / "inputs.bin").stat().st_mtime_ns

    second = prepare(pictures, tmp_path)

    assert (second.folder / "inputs.bin").stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.train.inputs, second.train.inputs)


def test_another_size_is_another_entry(pictures: Path, tmp_path: Path) -> None:
    assert prepare(pictures, tmp_path).key != prepare(pictures, tmp_path, ImageInput(height=8, width=8)).key


def test_few_unreadable_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", {"circle": 99, "star": 51})
    (folder / "star" / "torn.jpg").write_bytes((folder / "star" / "star.0.jpg").read_bytes()[:300])

    data = prepare(folder, tmp_path / "cache")

    assert len(data.train) + len(data.validation) + len(data.test) == 150
    assert [line.split(":")[0] for line in data.unreadable] == ["star/torn.jpg"]
    assert "star/torn.jpg" in (data.folder / "unreadable.txt").read_text()


def test_over_one_percent_unreadable_stops_the_run_and_leaves_a_list(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", {"circle": 20, "star": 20})
    (folder / "star" / "notes.txt").write_text("not a picture")

    with pytest.raises(BadInput, match=r"1 of 41 examples cannot be read.*star/notes.txt"):
        prepare(folder, tmp_path / "cache")

    assert "star/notes.txt" in (tmp_path / "cache" / "shapes-unreadable.txt").read_text()
    assert not list((tmp_path / "cache").glob("*/index.json"))


def test_labels_are_checked_before_anything_is_prepared(pictures: Path, tmp_path: Path) -> None:
    def refuse(found: Sequence[str]) -> None:
        raise BadInput(f"no outputs for {found}")

    with pytest.raises(BadInput, match="no outputs"):
        prepare(pictures, tmp_path, check=refuse)

    assert not list(tmp_path.iterdir())


def test_an_entry_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    def fill_half() -> None:
        with written_aside(tmp_path / "entry") as aside:
            (aside / "inputs.bin").write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill_half()

    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_no_entry_and_the_next_one_makes_it(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from training.prepared_cache import written_aside
        with written_aside(Path(sys.argv[1])) as aside:
            (aside / "inputs.bin").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    entry = tmp_path / "entry"
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(entry)], timeout=60, cwd=os.getcwd())
    assert ended.returncode == -signal.SIGKILL
    assert not entry.exists()

    with written_aside(entry) as aside:
        (aside / "inputs.bin").write_bytes(b"whole")

    assert (entry / "inputs.bin").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_real_flowers_keep_their_labels(shared_data: Path, tmp_path: Path) -> None:
    data = prepare(shared_data / "flowers", tmp_path)

    assert data.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert (len(data.train), len(data.validation), len(data.test)) == (675, 75, 150)
    assert not data.unreadable
