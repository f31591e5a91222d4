import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving import repository
from serving.errors import BadInput, FailedPrecondition, NotFound
from serving.modelserver import config_file
from serving.modelserver.lifecycle.settings import Latest, Specific
from tests.processes import CHECKOUT
from training import versions
from training.__main__ import cli


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with versions 1 to 5."""
    for version in range(1, 6):
        (tmp_path / "pets" / str(version)).mkdir(parents=True)
        (tmp_path / "pets" / str(version) / "saved_model.pb").write_bytes(b"")
    return tmp_path / "pets"


def test_the_labeled_version_serves_else_the_newest(model: Path) -> None:
    assert versions.serving_version(model) == 5

    versions.promote(model, 2, "stable")

    assert versions.serving_version(model) == 2
    assert versions.serving_version(model.parent / "nobody") is None


def test_promote_leaves_other_labels_alone(model: Path) -> None:
    assert versions.promote(model, 3, "stable") is None
    assert versions.promote(model, 5, "canary") is None
    assert versions.promote(model, 4, "stable") == 3

    assert repository.read_labels(model) == {"stable": 4, "canary": 5}


def test_a_version_that_is_not_there_gets_no_label(model: Path) -> None:
    with pytest.raises(NotFound, match="pets has no version 9"):
        versions.promote(model, 9, "stable")

    assert repository.read_labels(model) == {}


def test_rollback_goes_back_the_way_that_promotions_came(model: Path) -> None:
    for version in (2, 5, 3):
        versions.promote(model, version, "stable")

    assert versions.rollback(model) == (3, 5)
    assert versions.rollback(model) == (5, 2)
    assert versions.rollback(model) == (2, 1)  # no past is left, so the one below
    with pytest.raises(NotFound, match="no version before 1"):
        versions.rollback(model)


def test_rollback_without_any_label_goes_to_the_one_before_the_newest(model: Path) -> None:
    assert versions.rollback(model) == (5, 4)
    assert repository.read_labels(model) == {"stable": 4}


def test_a_label_that_was_moved_by_hand_is_part_of_the_way_back(model: Path) -> None:
    for version in (1, 2):
        versions.promote(model, version, "stable")
    repository.write_labels(model, {"stable": 5})

    assert versions.rollback(model) == (5, 2)

    repository.write_labels(model, {"stable": 5})
    versions.promote(model, 4, "stable")

    assert versions.rollback(model) == (4, 5)
    assert versions.rollback(model) == (5, 2)


def test_rollback_skips_versions_that_were_pruned(model: Path) -> None:
    for version in (1, 2, 5):
        versions.promote(model, version, "stable")
    (model / "2" / "saved_model.pb").unlink()
    (model / "2").rmdir()

    assert versions.rollback(model) == (5, 1)


def test_prune_never_removes_a_labeled_or_one_of_the_newest(model: Path) -> None:
    versions.promote(model, 1, "stable")
    (model / ".2.removed").mkdir()

    assert versions.prune(model, 2) == [2, 3]
    assert repository.versions(model) == [1, 4, 5]
    assert sorted(path.name for path in model.iterdir() if path.name.startswith(".")) == [versions.HISTORY]


def test_the_config_for_others_is_read_by_our_own_server(model: Path, tmp_path: Path) -> None:
    (tmp_path / "plain" / "7").mkdir(parents=True)
    versions.promote(model, 2, "stable")
    versions.promote(model, 4, "canary")
    path = tmp_path / "models.config"
    path.write_text(versions.models_config(tmp_path, "/srv/models/"))

    pets, plain = config_file.models(config_file.read(path))

    assert (pets.name, str(pets.base_path), pets.labels) == ("pets", "/srv/models/pets", {"stable": 2, "canary": 4})
    assert pets.policy == Specific(frozenset({2, 4, 5}))
    assert (plain.name, plain.policy, plain.labels) == ("plain", Latest(1), {})


def test_a_config_needs_an_absolute_path_and_labels_that_lead_somewhere(model: Path) -> None:
    with pytest.raises(BadInput, match="no absolute path"):
        versions.models_config(model.parent, "models")
    versions.promote(model, 2, "stable")
    (model / "2").rename(model / "gone")
    with pytest.raises(FailedPrecondition, match="label stable of pets names version 2"):
        versions.models_config(model.parent, "/models")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param(("promote", "pets", "2", "--label", "canary"), 0, "canary of pets is version 2\n", id="promote"),
        pytest.param(("promote", "pets", "9"), 2, "pets has no version 9", id="no-version"),
        pytest.param(("prune", "cars"), 2, "there is no cars in", id="no-model"),
    ],
)
def test_commands_say_what_they_did(model: Path, words: tuple[str, ...], code: int, says: str) -> None:
    answer = CliRunner().invoke(cli, [*words, "--models", str(model.parent)])

    assert answer.exit_code == code
    assert says in answer.output


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("promote", "pets", "2"), id="promote"),
        pytest.param(("rollback", "pets"), id="rollback"),
        pytest.param(("prune", "pets"), id="prune"),
        pytest.param(("models-config", "--base-path", "/models"), id="models-config"),
    ],
)
def test_labels_need_no_tensorflow(model: Path, words: tuple[str, ...]) -> None:
    program = (
        "import sys; from training.__main__ import cli; cli(sys.argv[1:], standalone_mode=False); "
        "sys.exit(', '.join({'tensorflow', 'keras', 'openvino', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", program, *words, "--models", str(model.parent)]

    done = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout
