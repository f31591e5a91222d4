from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

from serving import repository
from serving.card import Parity, Quality, TextInput
from serving.errors import BadInput
from serving.modelserver.runtimes import openvino_quantized
from tests.training.tiny import order_of
from training import imported_model, quality, quantized, session
from training.imported_model import Import
from training.progress import Progress

QUIET = Progress(visible=False)


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> session.Outcome:
    """The tiny recipe, published with int8 asked for."""
    root = tmp_path_factory.mktemp("int8")
    order = order_of(pictures, root / "cache", root / "models")
    return session.train(replace(order, int8=True, force=True), QUIET)


def test_a_version_keeps_its_int8_form_only_if_its_card_allows_it(trained: session.Outcome) -> None:
    card, folder = trained.published.card, trained.published.folder
    assert folder is not None
    form = f"{openvino_quantized.FOLDER}/serving_default.xml"
    (measured,) = [one for one in card.parity if one.precision == "int8"]

    assert trained.quality is not None
    assert measured.examples == trained.quality.examples
    assert ("int8" in card.allowed_precisions) == (measured.top1_agreement >= 0.99)
    assert ("int8" in card.allowed_precisions) == (form in card.files) == (folder / form).is_file()
    assert ("int8" in card.allowed_precisions) != any(
        "int8 was written, measured" in one for one in trained.published.remarks
    )
    repository.verify(folder, card)


@pytest.mark.parametrize(
    ("agreement", "right", "expected"),
    [
        pytest.param(0.99, 96, "", id="good"),
        pytest.param(0.99, 100, "", id="better"),
        pytest.param(0.9875, 96, "agrees with Keras on 98.75% of 100 test pictures, and 99% is asked", id="changed"),
        pytest.param(1.0, 80, "accuracy of 80.00% is under the interval, which begins at 90.16%", id="worse"),
    ],
)
def test_int8_must_agree_and_stay_within_the_interval(agreement: float, right: int, expected: str) -> None:
    def of(count: int) -> Quality:
        said = np.eye(2, dtype=np.float32)[(np.arange(100) >= count).astype(int)]
        return quality.measure(said, np.zeros(100, np.int32))

    measured = Parity(
        runtime="openvino", precision="int8", examples=100, largest_difference=0.1, top1_agreement=agreement
    )
    verdict = quantized.judged(measured, of(right), of(96))

    assert expected in verdict
    assert bool(expected) == bool(verdict)


def test_what_is_no_picture_is_refused_before_any_work() -> None:
    with pytest.raises(BadInput, match=r"--int8 is for models of pictures, reviews is none"):
        quantized.check(TextInput(bits=8), "reviews")


def test_an_import_needs_pictures_to_fit_int8_to(tmp_path: Path) -> None:
    wanted = Import(
        path=tmp_path, name="x", labels_file=tmp_path, task="image_classification", int8=True, models=tmp_path
    )
    with pytest.raises(BadInput, match="name them with --test-dir"):
        imported_model.publish(wanted, QUIET)
