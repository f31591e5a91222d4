import io
import tarfile
from pathlib import Path

import pytest

from serving.errors import BadInput, DataLoss, ServingError
from training import datasets
from training.class_archive import ClassArchive, find_archive
from training.class_folders import ClassFolders
from training.datasets import SourceChoice
from training.recipe import SourceSpec
from training.sample_data import SampleData
from training.sources import RawData, check_labels, without_repeats

from .conftest import write_pictures

FLOWERS = SourceSpec(kind="directory", dataset="flowers")


def names(data: RawData) -> list[set[str]]:
    return [{one.name for one in split} for split in (data.train, data.validation, data.test)]


def test_a_given_test_folder_stays_the_test_split_and_a_tenth_of_train_validates(pictures: Path) -> None:
    data = ClassFolders(pictures, "shapes").read()

    assert data.labels == ("circle", "star")
    assert (len(data.train), len(data.validation), len(data.test)) == (72, 8, 16)
    assert all(one.name.startswith("test/") for one in data.test)


def test_class_folders_without_a_split_are_split_80_10_10_the_same_way_every_time(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", {"circle": 20, "star": 40})

    first, second = (ClassFolders(folder, "shapes").read() for _ in range(2))

    assert (len(first.train), len(first.validation), len(first.test)) == (48, 6, 6)
    assert names(first) == names(second)
    assert not set.intersection(*names(first))


def test_an_own_validation_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    places = {f"{split}/{shape}": 3 for split in ("train", "validation", "test") for shape in ("circle", "star")}
    data = ClassFolders(write_pictures(tmp_path / "data", places), "shapes").read()

    assert all(one.name.startswith("validation/") for one in data.validation)
    assert len(data.train) == 6


def test_the_same_picture_never_stands_in_two_splits(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", {"train/circle": 20, "train/star": 20, "test/circle": 3, "test/star": 3})
    twin = (folder / "test" / "circle" / "circle.0.jpg").read_bytes()
    (folder / "train" / "circle" / "again.jpg").write_bytes(twin)
    (folder / "train" / "star" / "mistaken.jpg").write_bytes(twin)

    data = without_repeats(ClassFolders(folder, "shapes").read())

    assert data.repeats == 2
    assert len(data.test) == 6
    contents = [{one.read() for one in split} for split in (data.train, data.validation, data.test)]
    assert sum(map(len, contents)) == len(set.union(*contents))


def test_hidden_files_are_not_examples(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", {"circle": 5, "star": 5})
    (folder / "circle" / ".DS_Store").write_bytes(b"x")
    (folder / ".git").mkdir()

    data = ClassFolders(folder, "shapes").read()

    assert len(data.train) + len(data.validation) + len(data.test) == 10


def test_the_identity_of_a_folder_changes_with_one_byte_of_one_file(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", {"circle": 3, "star": 3})
    before = ClassFolders(folder, "shapes").identity()
    victim = folder / "star" / "star.0.jpg"
    victim.write_bytes(victim.read_bytes() + b"\0")

    assert ClassFolders(folder, "shapes").identity() != before


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        pytest.param(
            {"train/circle": 3, "train/star": 0, "test/circle": 1, "test/star": 1}, "'star' is empty", id="empty"
        ),
        pytest.param({"circle": 5}, "at least two folders", id="one-class"),
        pytest.param({"circle": 5, "star": 1}, "'star' has only 1 examples", id="too-few"),
        pytest.param({"test/circle": 3, "test/star": 3}, "no train/", id="no-train"),
        pytest.param(
            {"train/circle": 3, "train/star": 3, "test/circle": 1, "test/square": 1},
            "'square'",
            id="other-test-classes",
        ),
    ],
)
def test_folders_that_will_not_do_are_refused_in_one_sentence(
    tmp_path: Path, counts: dict[str, int], complaint: str
) -> None:
    folder = write_pictures(tmp_path / "data", counts)

    with pytest.raises(BadInput, match=complaint):
        ClassFolders(folder, "shapes").read()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere is no folder"):
        ClassFolders(tmp_path / "nowhere", "shapes").identity()


def test_an_archive_in_imdbs_layout_gives_its_labeled_reviews(review_archive: Path) -> None:
    data = ClassArchive(review_archive, "imdb").read()

    assert data.labels == ("neg", "pos")
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 20)
    assert all(one.read() for one in data.test)


def test_the_folder_that_holds_an_archive_is_as_good_as_the_archive(review_archive: Path) -> None:
    assert find_archive(review_archive.parent) == find_archive(review_archive)


def test_a_wrong_checksum_is_refused_with_both_sums(review_archive: Path) -> None:
    with pytest.raises(DataLoss, match=r"has SHA-256 [0-9a-f]{64}, not 1234"):
        ClassArchive(review_archive, "imdb", "1234").identity()


def test_the_right_checksum_passes_in_any_case_of_letters(review_archive: Path) -> None:
    checksum = ClassArchive(review_archive, "imdb").identity()

    assert ClassArchive(review_archive, "imdb", checksum.upper()).identity() == checksum


def test_an_archive_cut_short_is_refused(review_archive: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.tar.gz"
    short.write_bytes(review_archive.read_bytes()[:2000])

    with pytest.raises(DataLoss, match="no readable tar file"):
        ClassArchive(short, "imdb").read()


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("notes.txt")
        archive.addfile(member, io.BytesIO())

    with pytest.raises(BadInput, match="holds no train/<class>/<file>"):
        ClassArchive(path, "imdb").read()


def test_two_archives_in_one_folder_ask_for_a_choice(tmp_path: Path) -> None:
    for name in ("a.tar.gz", "b.tgz"):
        (tmp_path / name).touch()

    with pytest.raises(BadInput, match=r"it has a\.tar\.gz, b\.tgz"):
        find_archive(tmp_path)


def test_samples_are_the_same_for_everybody() -> None:
    first, second = (SampleData("sample_reviews", share=0.01).read() for _ in range(2))

    assert first.sha256 == second.sha256
    assert [one.read() for one in first.test] == [one.read() for one in second.test]


def test_a_label_without_an_output_is_named_with_the_number_of_outputs() -> None:
    with pytest.raises(BadInput, match=r"the label 'orchid'.*has 2 outputs"):
        check_labels(["daisy", "orchid"], ("daisy", "tulips"), "flowers")


def test_an_output_without_examples_is_named() -> None:
    with pytest.raises(BadInput, match=r"no example of the label 'tulips'.*has 3 outputs"):
        check_labels(["daisy", "roses"], ("daisy", "roses", "tulips"), "flowers")


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        pytest.param(SourceChoice(kind="directory"), "needs --data-dir", id="directory-without-place"),
        pytest.param(SourceChoice(kind="archive"), "needs --data-dir", id="archive-without-place"),
        pytest.param(SourceChoice(kind="archive", data_dir=Path("nowhere")), "nowhere is not there", id="no-archive"),
        pytest.param(SourceChoice(kind="sample"), "no built-in sample of flowers", id="no-such-sample"),
        pytest.param(SourceChoice(kind="sample", data_dir=Path()), "made by code", id="sample-with-place"),
        pytest.param(SourceChoice(kind="tfds"), "not in TensorFlow Datasets", id="not-in-tfds"),
        pytest.param(SourceChoice(sha256="12"), "checksum of an archive", id="checksum-of-a-folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(choice: SourceChoice, complaint: str) -> None:
    with pytest.raises(ServingError, match=complaint):
        datasets.open_source(FLOWERS, choice).identity()
