"""Reading a version folder, whole, half-copied or of another kind."""

import shutil
from pathlib import Path

import pytest
from google.protobuf import text_format

from serving.errors import DataLoss, NotFound, ServingError, Unimplemented
from serving.modelserver.runtimes import choice, saved_model
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.wire.protos import SavedModel
from tests.modelserver.runtimes.conftest import floats

WITHOUT_TENSORFLOW = RuntimeOptions(runtime="openvino")


@pytest.fixture
def copy_of(saved_models: Path, tmp_path: Path) -> Path:
    """A version that a test may break: half_plus_three, which has variables."""
    return Path(shutil.copytree(saved_models / "half_plus_three" / "1", tmp_path / "1"))


def test_a_folder_without_a_saved_model_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"^Specified file path does not appear to contain a SavedModel bundle"):
        saved_model.read(tmp_path)


def test_a_plain_file_as_a_version_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "7").write_text("not a folder")

    with pytest.raises(NotFound, match="does not appear to contain a SavedModel bundle"):
        saved_model.read(tmp_path / "7")


def test_a_session_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "export.meta").write_bytes(b"")

    with pytest.raises(Unimplemented, match=r"^Session Bundle is deprecated and removed\.$"):
        saved_model.read(tmp_path)


@pytest.mark.parametrize("content", [b"\xff" * 64, b"not a protocol buffer", b"\x0a\xff\xff\xff\xff\x07"], ids=repr)
def test_junk_is_data_loss(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)

    with pytest.raises(DataLoss, match=r"^Can't parse .*saved_model\.pb as binary proto$"):
        saved_model.read(tmp_path)


def test_a_file_cut_short_anywhere_is_an_error_of_the_family(copy_of: Path) -> None:
    whole = (copy_of / "saved_model.pb").read_bytes()

    for length in range(0, len(whole) - 1, 997):
        (copy_of / "saved_model.pb").write_bytes(whole[:length])
        with pytest.raises(ServingError):
            choice.load(copy_of, WITHOUT_TENSORFLOW)


def test_tags_choose_the_graph(copy_of: Path) -> None:
    both = SavedModel.FromString((copy_of / "saved_model.pb").read_bytes())
    second = both.meta_graphs.add()
    second.CopyFrom(both.meta_graphs[0])
    second.meta_info_def.tags.append("gpu")
    del second.signature_def["serving_default"].outputs["y"]
    (copy_of / "saved_model.pb").write_bytes(both.SerializeToString())

    assert saved_model.read(copy_of).signatures["serving_default"].outputs.keys() == {"y"}
    assert not saved_model.read(copy_of, frozenset({"gpu", "serve"})).signatures["serving_default"].outputs
    with pytest.raises(NotFound, match=r"^Could not find meta graph def matching supplied tags: \{ gpu \}\."):
        saved_model.read(copy_of, frozenset({"gpu"}))


def test_one_graph_of_several_is_served(copy_of: Path) -> None:
    both = SavedModel.FromString((copy_of / "saved_model.pb").read_bytes())
    both.meta_graphs.add().CopyFrom(both.meta_graphs[0])
    both.meta_graphs[0].meta_info_def.tags.append("gpu")
    (copy_of / "saved_model.pb").write_bytes(both.SerializeToString())

    model = choice.load(copy_of, WITHOUT_TENSORFLOW)

    assert model.run("serving_default", {"x": floats([[2]])})["y"].tolist() == [[4]]
    model.close()


def test_a_text_form_is_read_as_well(copy_of: Path) -> None:
    text = text_format.MessageToString(SavedModel.FromString((copy_of / "saved_model.pb").read_bytes()))
    (copy_of / "saved_model.pb").unlink()
    (copy_of / "saved_model.pbtxt").write_text(text)

    model = choice.load(copy_of, WITHOUT_TENSORFLOW)

    assert model.run("serving_default", {"x": floats([[2]])})["y"].tolist() == [[4]]
    model.close()


def test_a_broken_text_form_is_data_loss(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pbtxt").write_text("meta_graphs { what is this")

    with pytest.raises(DataLoss, match="as text proto"):
        saved_model.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("variables.data-00000-of-00001", 5, id="data-cut-short"),
        pytest.param("variables.data-00000-of-00001", None, id="data-missing"),
        pytest.param("variables.index", 60, id="index-cut-short"),
    ],
)
def test_half_copied_variables_are_data_loss(copy_of: Path, name: str, kept: int | None) -> None:
    file = copy_of / "variables" / name
    content = file.read_bytes()
    file.unlink()
    if kept is not None:
        file.write_bytes(content[:kept])

    with pytest.raises(DataLoss, match="copy the whole version again"):
        choice.load(copy_of, WITHOUT_TENSORFLOW)
