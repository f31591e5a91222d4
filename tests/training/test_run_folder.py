import json
from pathlib import Path

import numpy as np
import pytest

from serving.errors import NotFound
from training.run_folder import Answers, RunFolder


def test_a_run_keeps_its_facts_and_replaces_those_of_the_same_name(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "shapes", 7)

    folder.update(status="running", seed=7)
    folder.update(status="done", phases=[{"name": "training"}])

    facts = RunFolder.open(folder.path).read()
    assert facts == {"schema": 1, "status": "done", "seed": 7, "phases": [{"name": "training"}]}
    assert folder.path.parent == tmp_path / "shapes"


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    paths = {RunFolder.create(tmp_path, "shapes", 0).path for _ in range(3)}

    assert len(paths) == 3


def test_answers_come_back_as_they_were_with_names_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "shapes", 0)
    given = Answers(np.eye(2, dtype=np.float32), np.array([0, 1], np.int32), ["a.jpg", "caf\udce9.jpg"])

    folder.write_answers("test", given)
    back = folder.answers("test")

    np.testing.assert_array_equal(back.probabilities, given.probabilities)
    np.testing.assert_array_equal(back.labels, given.labels)
    assert list(back.names) == given.names


def test_a_folder_that_is_no_run_or_did_not_come_so_far_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no run"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(NotFound, match="cannot be read"):
        RunFolder.open(tmp_path).read()
    (tmp_path / "run.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(NotFound, match="not a run of schema 1"):
        RunFolder.open(tmp_path).read()
    with pytest.raises(NotFound, match="no answers of the test split"):
        RunFolder(tmp_path).answers("test")
