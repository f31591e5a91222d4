"""The models folder: whole versions or none, numbered, labeled, checked."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from serving import repository
from serving.errors import BadInput, DataLoss, NotFound
from tests.test_card import PICTURES


def publish(root: Path, name: str = "pets", text: str = "graph") -> int:
    with repository.staging(root, name) as staging:
        (staging.folder / "saved_model.pb").write_text(text)
        card = staging.folder / repository.CARD_FILE
        card.parent.mkdir()
        files = repository.checksums(staging.folder)
        card.write_text(replace(PICTURES, version=staging.version, files=files).to_json())
    return staging.version


def test_versions_are_numbered_from_one(tmp_path: Path) -> None:
    assert [publish(tmp_path), publish(tmp_path)] == [1, 2]
    assert repository.versions(tmp_path / "pets") == [1, 2]


def test_a_version_is_invisible_until_it_is_whole(tmp_path: Path) -> None:
    with repository.staging(tmp_path, "pets") as staging:
        (staging.folder / "half").write_text("a")
        assert repository.versions(tmp_path / "pets") == []
    assert repository.versions(tmp_path / "pets") == [1]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def write() -> None:
        with repository.staging(tmp_path, "pets") as staging:
            (staging.folder / "half").write_text("a")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writers_number_is_not_used_again(tmp_path: Path) -> None:
    (tmp_path / "pets" / ".1.tmp").mkdir(parents=True)

    assert publish(tmp_path) == 2


def test_two_writers_at_once_get_two_versions(tmp_path: Path) -> None:
    gate, versions = threading.Barrier(8), []

    def write() -> None:
        gate.wait()
        versions.append(publish(tmp_path))

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(versions) == list(range(1, 9))


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "a b", "x" * 129])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="is no name for a model"), repository.staging(tmp_path, name):
        raise AssertionError("the block must not run")


def test_only_numbers_are_versions(tmp_path: Path) -> None:
    for name in ("7", "00000123", "tmp", "-1", ".8.tmp", "1.5"):
        (tmp_path / "pets" / name).mkdir(parents=True)

    assert repository.versions(tmp_path / "pets") == [7, 123]


def test_models_are_the_folders_that_hold_a_version(tmp_path: Path) -> None:
    publish(tmp_path, "pets")
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("")

    assert repository.models(tmp_path) == ["pets"]
    assert repository.models(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / "saved_model.pb").write_text("other"), "is not the file that its card names"),
        (lambda folder: (folder / "saved_model.pb").unlink(), "is missing"),
        (lambda folder: (folder / "extra").write_text("x"), "extra of version 1"),
    ],
    ids=["changed", "missing", "added"],
)
def test_a_version_that_is_not_as_published_is_found_out(
    tmp_path: Path, damage: Callable[[Path], object], complaint: str
) -> None:
    publish(tmp_path)
    folder = tmp_path / "pets" / "1"
    card = repository.read_card(folder)
    assert card is not None
    repository.verify(folder, card)
    damage(folder)

    with pytest.raises(DataLoss, match=complaint):
        repository.verify(folder, card)


def test_a_version_without_a_card_has_none(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()

    assert repository.read_card(tmp_path / "1") is None


def test_labels_name_published_versions_only(tmp_path: Path) -> None:
    publish(tmp_path)
    model = tmp_path / "pets"
    assert repository.read_labels(model) == {}
    repository.write_labels(model, {"stable": 1})

    with pytest.raises(NotFound, match="no version 9"):
        repository.write_labels(model, {"stable": 9})
    assert repository.read_labels(model) == {"stable": 1}


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    repository.write_whole(path, lambda file: file.write(b"good"))

    def half(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        repository.write_whole(path, half)

    assert path.read_bytes() == b"good"
    assert [child.name for child in tmp_path.iterdir()] == ["state"]


def test_new_labels_are_on_the_disk_before_the_old_ones_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path)
    model = tmp_path / "pets"
    forced: list[tuple[str, bool]] = []

    def noted(handle: int) -> None:
        forced.append((Path(f"/proc/self/fd/{handle}").resolve().name, (model / "labels.json").exists()))

    monkeypatch.setattr(os, "fsync", noted)
    repository.write_labels(model, {"stable": 1})

    assert forced == [(f".labels.json.{os.getpid()}.tmp", False), ("pets", True)]


def test_a_folder_with_a_name_that_is_not_utf_8_is_no_model(tmp_path: Path) -> None:
    publish(tmp_path)
    os.makedirs(os.fsencode(tmp_path) + b"/\xff/1")

    assert repository.models(tmp_path) == ["pets"]


@pytest.mark.parametrize("text", ["[1", "[]", '{"stable": 1e400}', "[" * 100_000], ids=["cut", "list", "huge", "deep"])
def test_damaged_labels_say_what_they_must_be(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.json").write_text(text)

    with pytest.raises(DataLoss, match="must be an object like"):
        repository.read_labels(tmp_path)


def test_a_pipe_instead_of_labels_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.json")

    with pytest.raises(DataLoss, match="must be a file"):
        repository.read_labels(tmp_path)
