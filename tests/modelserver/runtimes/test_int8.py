import dataclasses
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("nncf", reason="makes int8 models: make install")

from serving import repository
from serving.card import Dataset, ImageInput, ModelCard
from serving.errors import BadInput, DataLoss
from serving.modelserver.runtimes import choice, machine, openvino_quantized
from serving.modelserver.runtimes.protocol import RuntimeOptions
from training import quantized

CARD = ModelCard(
    name="convolutions",
    version=1,
    task="image_classification",
    labels=("one", "two", "three", "four", "five"),
    input=ImageInput(height=24, width=24),
    signatures={"default": "serving_default"},
    dataset=Dataset(name="noise", source="sample"),
    allowed_precisions=("f32", "int8"),
    created="2026-01-31T12:00:00Z",
)
INT8 = RuntimeOptions(runtime="openvino", precision="int8", imitate=True)


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 24, 24, 3), np.uint8)


def save_card(version: Path, card: ModelCard) -> None:
    whole = dataclasses.replace(card, files=repository.checksums(version))
    (version / repository.CARD_FILE).write_text(whole.to_json())


@pytest.fixture(scope="module")
def made(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with an int8 form, as training writes it."""
    version = tmp_path_factory.mktemp("convolutions") / "1"
    shutil.copytree(saved_models / "convolutions" / "1", version)
    quantized.write(version, "serving_default", [noise(24)])
    save_card(version, CARD)
    return version


@pytest.fixture
def version(made: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    shutil.copytree(made, tmp_path / "1")
    return tmp_path / "1"


def answers(version: Path, options: RuntimeOptions) -> tuple[str, NDArray[np.float32]]:
    with closing(choice.load(version, options)) as model:
        return model.precision, model.run("serving_default", {"image": noise(9)})["probabilities"]


def test_an_int8_form_answers_nearly_as_the_model_that_it_was_made_of(made: Path) -> None:
    precision, ours = answers(made, INT8)
    _, exact = answers(made, RuntimeOptions(runtime="openvino", precision="f32"))

    assert precision == "int8"
    assert 0 < np.abs(ours - exact).max() < 0.05
    np.testing.assert_allclose(ours.sum(axis=1), 1, atol=1e-4)


def test_what_is_computed_in_int8_is_a_tenth_of_the_weights(made: Path) -> None:
    form = openvino_quantized.file_of(made, "serving_default")

    assert "i8" in form.read_text()
    assert form.with_suffix(".bin").stat().st_size < (made / "saved_model.pb").stat().st_size / 2


def test_auto_takes_int8_where_the_cpu_multiplies_so_and_the_card_allows_it(made: Path) -> None:
    precision, _ = answers(made, RuntimeOptions(runtime="openvino"))

    assert precision == ("int8" if machine.multiplies_int8() else "f32")


def test_a_card_that_does_not_allow_int8_is_not_overruled(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_card(version, dataclasses.replace(CARD, allowed_precisions=("f32",)))

    assert answers(version, INT8)[0] == "f32"
    assert "convolutions is served in f32 although int8 was asked for: its card does not allow it" in caplog.text
    assert "--int8" in caplog.text


def test_a_model_without_a_card_has_no_int8_form(saved_models: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert answers(saved_models / "convolutions" / "1", INT8)[0] == "f32"
    assert "it has no card" in caplog.text


def test_a_version_whose_int8_form_was_not_copied_is_refused_by_its_card(version: Path) -> None:
    shutil.rmtree(version / openvino_quantized.FOLDER)

    with pytest.raises(DataLoss, match="int8"):
        choice.load(version, INT8)


def test_a_card_that_promises_an_int8_form_which_was_never_made_is_told_apart(version: Path) -> None:
    shutil.rmtree(version / openvino_quantized.FOLDER)
    save_card(version, CARD)

    with pytest.raises(DataLoss, match=r"Its card allows int8, but assets.extra/int8 is not there: copy the whole"):
        choice.load(version, INT8)


def test_a_torn_int8_form_is_an_error_that_says_so(version: Path) -> None:
    form = openvino_quantized.file_of(version, "serving_default")
    form.write_bytes(form.read_bytes()[:2000])
    save_card(version, CARD)

    with pytest.raises(DataLoss, match=r"serving_default.xml cannot be read; copy the whole version again"):
        choice.load(version, INT8)


def test_shapes_that_do_not_fit_are_refused_in_int8_as_in_float32(made: Path) -> None:
    with closing(choice.load(made, INT8)) as model, pytest.raises(BadInput):
        model.run("serving_default", {"image": noise(1)[..., :2]})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fma avx2 avx512_vnni", True), ("avx_vnni", True), ("amx_int8 sse2", True), ("fma avx2 avx512f", False)],
)
def test_int8_is_for_cpus_that_add_up_its_products_exactly(tmp_path: Path, flags: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: x\nflags\t\t: {flags}\nbugs\t:\n\nflags : none\n")

    assert machine.multiplies_int8(tmp_path / "cpuinfo") is expected


def test_a_machine_that_names_no_flags_is_served_in_float32(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd\n")

    assert not machine.multiplies_int8(tmp_path / "cpuinfo")
    assert not machine.multiplies_int8(tmp_path / "missing")
