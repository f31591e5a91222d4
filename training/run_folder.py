"""The folder of one run: what was asked, what was learned, what the model answered.

    runs/<name>/<UTC time>-<seed>/run.json  answers-validation.npz  answers-test.npz
                                  checkpoints/  tensorboard/  plots/  report.html

`session.py` writes it while the run goes on, and the report reads it afterwards. Every file is
written aside and renamed, so a reader sees the old one or the new one, never half of one.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import NotFound
from serving.repository import write_whole

SCHEMA = 1
RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model said of one split, and what is true, example by example."""

    probabilities: NDArray[np.float32]
    """[N, C]; [N] or [N, 1] where the model answers a value."""
    labels: NDArray[Any]
    """[N]: the index of the right label, or the right value."""
    names: Sequence[str]
    """[N], as in `recipe.Examples`."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run on disk.

    `run.json` holds `schema`, `name`, `recipe`, `seed`, `status` (running, stopped, failed or done), `failure` (the
    sentence that a failed run ended with, else null), `order` (what `resume` needs to ask again), `options`,
    `settings`, `labels`, `dataset`, `prepared` (the folder of the prepared data), `phases` ([{name, kept, epochs:
    {loss: [...], learning_rate: [...], ...}}], one value an epoch), `figures` (the card's quality) and `published`
    (the version's folder, or null). Facts that are not known yet are missing.
    """

    path: Path

    @classmethod
    def create(cls, runs: Path, name: str, seed: int) -> "RunFolder":
        """A new folder for a run of the model `name` that begins now.

        Raises:
            OSError: no space or no permission.
        """
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{seed}"
        for number in range(1, 1000):
            path = runs / name / (stem if number == 1 else f"{stem}-{number}")
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return cls(path)
        raise FileExistsError(f"a thousand runs of {name} began in this very second")

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The folder of a run that was begun before.

        Raises:
            NotFound: no run was written there.
        """
        if not (path / RUN_FILE).is_file():
            raise NotFound(f"{path} is no run: give the folder of one, such as runs/<name>/<time>-<seed>")
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """Where the run can be taken up again."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def plots(self) -> Path:
        """PNG files of the report."""
        return self.path / "plots"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def read(self) -> dict[str, Any]:
        """All facts so far.

        Raises:
            NotFound: nothing was written yet, or it is not of this program.
        """
        try:
            facts: dict[str, Any] = json.loads((self.path / RUN_FILE).read_text())
        except (OSError, ValueError) as error:
            raise NotFound(f"{self.path / RUN_FILE} cannot be read: {error}") from error
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise NotFound(f"{self.path / RUN_FILE} is not a run of schema {SCHEMA}")
        return facts

    def update(self, **facts: Any) -> None:
        """Add facts, JSON values, to those that are there; a fact of the same name is replaced."""
        before = self.read() if (self.path / RUN_FILE).exists() else {"schema": SCHEMA}
        text = json.dumps(before | facts, indent=1) + "\n"
        write_whole(self.path / RUN_FILE, lambda file: file.write(text.encode()))

    def write_answers(self, split: str, answers: Answers) -> None:
        """Keep the answers of a split (`validation` or `test`)."""
        arrays: Mapping[str, NDArray[Any]] = {
            "probabilities": np.asarray(answers.probabilities, np.float32),
            "labels": np.asarray(answers.labels),
            "names": np.array(list(answers.names), dtype=np.str_),
        }
        write_whole(self.path / f"answers-{split}.npz", lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]

    def answers(self, split: str) -> Answers:
        """The answers of a split.

        Raises:
            NotFound: the run has not come that far.
        """
        path = self.path / f"answers-{split}.npz"
        if not path.is_file():
            raise NotFound(f"{self.path} has no answers of the {split} split: the run did not come that far")
        with np.load(path, allow_pickle=False) as arrays:
            return Answers(arrays["probabilities"], arrays["labels"], [str(name) for name in arrays["names"]])
