"""Which runtime answers what, what a card adds, and what is said where nothing can answer."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving import repository
from serving.card import CardError, ModelCard
from serving.errors import BadInput, DataLoss, TooMuchToProcess, Unimplemented, UnsupportedKind
from serving.modelserver.runtimes import choice
from serving.modelserver.runtimes.host_side import MOST_PIXEL_BYTES
from serving.modelserver.runtimes.openvino_compiled import MANY
from serving.modelserver.runtimes.protocol import RuntimeOptions
from serving.preprocess import image, text
from tests.modelserver.runtimes.conftest import Load, floats, strings

ROOT = Path(__file__).parents[3]
WITHOUT_TENSORFLOW = RuntimeOptions(runtime="openvino")


def picture(color: str, kind: str = "PNG", size: tuple[int, int] = (50, 40)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, color).save(data, kind)
    return data.getvalue()


@pytest.fixture
def copy_of_tiny_image(saved_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_models / "tiny_image" / "1", tmp_path / "1"))


def test_a_text_model_takes_strings_without_tensorflow(load_openvino: Load) -> None:
    model = load_openvino("tiny_text")

    answer = model.run("serving_default", {"text": strings([b"Good, great!", b"not good: awful", "lovely"])})

    assert (model.runtime, model.precision) == ("openvino", "f32")
    assert answer["probabilities"].argmax(1).tolist() == [1, 0, 1]


def test_texts_and_their_ids_have_the_same_answer(load_openvino: Load) -> None:
    model = load_openvino("tiny_text")
    texts = [b"a good one", b"bad"]
    assert model.card
    ids = text.to_batch(texts, model.card.input)  # type: ignore[arg-type]

    by_text = model.run("serving_default", {"text": strings(texts)})["probabilities"]

    assert by_text.tobytes() == model.run("prepared", {"ids": ids})["probabilities"].tobytes()


def test_no_texts_have_no_answers(load_openvino: Load) -> None:
    assert load_openvino("tiny_text").run("serving_default", {"text": strings([])})["probabilities"].shape == (0, 2)


def test_a_text_without_words_is_named_by_its_place(load_openvino: Load) -> None:
    with pytest.raises(TooMuchToProcess, match="1"):
        load_openvino("tiny_text").run("serving_default", {"text": strings([b"fine", b"   "])})


@pytest.mark.parametrize("shape", [(), (1, 1)], ids=str)
def test_texts_come_as_a_list(load_openvino: Load, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="must be a list of strings"):
        load_openvino("tiny_text").run("serving_default", {"text": strings([b"good"]).reshape(shape)})


@pytest.mark.parametrize("wrong", [-1, 1025, 2**31 - 1])
def test_an_id_outside_the_table_is_refused(load_openvino: Load, wrong: int) -> None:
    with pytest.raises(BadInput, match=r"outside \[0, 1024\]"):
        load_openvino("tiny_text").run("prepared", {"ids": np.array([[1, wrong]], np.int32)})


def test_an_image_model_takes_pixels_and_whole_files(load_openvino: Load) -> None:
    model = load_openvino("tiny_image")
    files = [picture("red"), picture("blue", "JPEG"), picture("lime", "GIF")]
    assert model.card
    pixels = np.stack([image.to_pixels(data, model.card.input) for data in files])  # type: ignore[arg-type]

    from_files = model.run("encoded", {"image_bytes": strings(files)})["probabilities"]

    assert [model.card.labels[place] for place in from_files.argmax(1)] == ["red", "blue", "green"]
    assert from_files.tobytes() == model.run("serving_default", {"image": pixels})["probabilities"].tobytes()


def test_a_bad_picture_in_a_batch_is_named_by_its_place(load_openvino: Load) -> None:
    model = load_openvino("tiny_image")

    with pytest.raises(BadInput, match=r"^image_bytes\[1\]: "):
        model.run("encoded", {"image_bytes": strings([picture("red"), picture("red")[:-40]])})
    with pytest.raises(UnsupportedKind, match=r"^image_bytes\[0\]: "):
        model.run("encoded", {"image_bytes": strings([b"<svg xmlns='http://www.w3.org/2000/svg'/>"])})


def test_more_pictures_than_memory_allows_are_refused_before_any_is_opened(load_openvino: Load) -> None:
    too_many = strings([b""] * (MOST_PIXEL_BYTES // (32 * 32 * 3) + 1))

    with pytest.raises(TooMuchToProcess, match="send several requests"):
        load_openvino("tiny_image").run("encoded", {"image_bytes": too_many})


def test_no_pictures_have_no_answers(load_openvino: Load) -> None:
    assert load_openvino("tiny_image").run("encoded", {"image_bytes": strings([])})["probabilities"].shape == (0, 3)


@pytest.mark.parametrize("name", ["tiny_image", "tiny_text"])
def test_the_card_is_answered_once_a_row(load_openvino: Load, name: str) -> None:
    answer = load_openvino(name).run("card", {"request": np.zeros(3, np.int32)})["card"]

    assert answer.shape == (3,)
    assert ModelCard.from_json(answer[2]).labels
    assert not ModelCard.from_json(answer[0]).files


def test_a_changed_file_is_not_served(copy_of_tiny_image: Path) -> None:
    file = copy_of_tiny_image / "saved_model.pb"
    file.write_bytes(file.read_bytes() + b"\x00")

    with pytest.raises(DataLoss):
        choice.load(copy_of_tiny_image, WITHOUT_TENSORFLOW)


def test_a_file_that_the_card_names_and_is_missing_is_named(copy_of_tiny_image: Path) -> None:
    (copy_of_tiny_image / "variables" / "variables.index").unlink()

    with pytest.raises(DataLoss, match=r"variables/variables\.index of version 1 is missing"):
        choice.load(copy_of_tiny_image, WITHOUT_TENSORFLOW)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema_version": 99}', b"\xff\xfe"], ids=repr)
def test_a_card_that_cannot_be_read_stops_the_load(copy_of_tiny_image: Path, content: bytes) -> None:
    (copy_of_tiny_image / repository.CARD_FILE).write_bytes(content)

    with pytest.raises(CardError):
        choice.load(copy_of_tiny_image, WITHOUT_TENSORFLOW)


def test_a_card_may_name_signatures_that_are_not_there(copy_of_tiny_image: Path) -> None:
    file = copy_of_tiny_image / repository.CARD_FILE
    roles = {"signatures": {"default": "nowhere", "encoded": "serving_default", "card": "none"}}
    file.write_text(json.dumps(json.loads(file.read_bytes()) | roles))

    model = choice.load(copy_of_tiny_image, WITHOUT_TENSORFLOW)

    assert model.run("serving_default", {"image": np.zeros((1, 32, 32, 3), np.uint8)})["probabilities"].shape == (1, 3)
    model.close()


def test_a_card_with_more_labels_than_the_graph_has_probabilities_stops_the_load(copy_of_tiny_image: Path) -> None:
    file = copy_of_tiny_image / repository.CARD_FILE
    card = json.loads(file.read_bytes())
    file.write_text(json.dumps(card | {"labels": [*card["labels"], "one too many"]}))

    with pytest.raises(CardError, match=r"^the card names 4 labels, and the graph's probabilities have .* \[-1, 3\]"):
        choice.load(copy_of_tiny_image, WITHOUT_TENSORFLOW)


@pytest.mark.parametrize("name", ["strings", "vocabulary", "counter", "parsed_classifier"])
def test_a_version_whose_default_cannot_run_says_what_would_help(load_openvino: Load, name: str) -> None:
    with pytest.raises(
        Unimplemented, match=r"^Signature serving_default cannot run here\. .* start the server with --runtime=auto"
    ):
        load_openvino(name)


def test_other_signatures_say_so_when_they_are_called(load_openvino: Load) -> None:
    model = load_openvino("half_plus_two")

    with pytest.raises(Unimplemented, match=r"^Signature regress_x_to_y cannot run here\. .*string.*--runtime=auto"):
        model.run("regress_x_to_y", {"inputs": strings([b""])})

    assert model.run("serving_default", {"x": floats([[2]])})["y"].tolist() == [[3]]


def test_only_versions_with_a_card_are_merged(load_openvino: Load) -> None:
    names = ("tiny_text", "dense", "centered", "scalar_out", "no_inputs")
    rows = {name: load_openvino(name).best_rows for name in names}

    assert rows == {"tiny_text": MANY, "dense": 1, "centered": 1, "scalar_out": 0, "no_inputs": 0}


def test_tensorflow_is_not_imported_where_it_is_not_needed(saved_models: Path) -> None:
    code = f"""
import sys
import numpy as np
from pathlib import Path
from serving.modelserver.runtimes import choice
for name in ("tiny_text", "tiny_image", "half_plus_two"):
    model = choice.load(Path({str(saved_models)!r}) / name / "1")
    model.close()
assert "openvino" in sys.modules
print(sorted(name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras")))
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert (found.stdout.strip(), found.returncode) == ("[]", 0), found.stderr
