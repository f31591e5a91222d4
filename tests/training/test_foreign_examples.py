"""Pictures of other things: where they come from and what they are called."""

from pathlib import Path

import pytest

from serving.card import ImageInput
from serving.errors import BadInput
from tests.preprocess.pictures import encoded, flat
from training import foreign_examples

SPEC = ImageInput(height=8, width=8)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        pytest.param("flowers", "flowers", id="folder"),
        pytest.param("flowers/train", "flowers/train", id="train"),
        pytest.param("flowers/validation", "flowers/validation", id="validation"),
        pytest.param("flowers/test", "flowers/test", id="test"),
    ],
)
def test_a_folder_of_photos_is_called_by_what_it_holds(tmp_path: Path, place: str, kind: str) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "rose.jpg").write_bytes(encoded(flat("red"), "JPEG"))

    found = foreign_examples.pictures(SPEC, drawings=False, others=folder)

    assert {name: len(some) for name, some in found.items()} == {"noise": 100, "blank": 100, kind: 1}


def test_a_folder_without_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no picture that can be read"):
        foreign_examples.pictures(SPEC, drawings=False, others=tmp_path)
