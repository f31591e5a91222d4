"""Source `table`: a CSV file with a line of column names, numbers in all columns but the target.

A target of numbers makes a model that answers a number; words in it are the labels of a classifier. Each
row travels on as a JSON object, which `serving.preprocess.table` reads as it reads what people send.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from serving.card import Column, TableInput
from serving.errors import BadInput
from serving.preprocess.table import LARGEST, to_rows
from training.recipe import SourceKind
from training.sample_tables import TABLES
from training.sources import RawData, RawExample, in_memory, split_in_three, split_numbers


@dataclass(frozen=True)
class TableFile:
    """One CSV file, and the column that the others should tell."""

    content: bytes
    dataset: str
    target: str
    kind: SourceKind = "table"

    def identity(self) -> str:
        """SHA-256 of the file, and which column is the target."""
        return f"{hashlib.sha256(self.content).hexdigest()} {self.target}"

    def read(self) -> RawData:
        """80 % of the rows for training, 10 % each for validation and test, whatever the seed."""
        return self._raw

    def input(self) -> TableInput:
        """The columns beside the target, each with its range among the training rows."""
        bare = TableInput(columns=tuple(Column(name=name, low=0.0, high=0.0) for name in self._columns))
        rows = to_rows([one.read() for one in self._raw.train], bare)
        lows, highs = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        ranges = zip(self._columns, lows, highs, strict=True)
        return TableInput(columns=tuple(Column(name=name, low=low, high=high) for name, low, high in ranges))

    @cached_property
    def _raw(self) -> RawData:
        answers = [row[self.target].strip() for _, row in self._rows]
        if empty := [line for line, row in self._rows if not row[self.target].strip()]:
            raise BadInput(f"line {empty[0]} of the table has no {self.target}: fill it in or remove the line")
        examples = [self._example(line, row) for line, row in self._rows]
        sha256 = hashlib.sha256(self.content).hexdigest()
        numbers = [_number(answer) for answer in answers]
        if None in numbers:
            return split_in_three(examples, sha256)
        beyond = [line for (line, _), number in zip(self._rows, numbers, strict=True) if not _fits(number)]
        if beyond:
            raise BadInput(f"the {self.target} in line {beyond[0]} is not finite in float32: remove the line")
        return split_numbers(examples, sha256)

    def _example(self, line: int, row: dict[str, str]) -> RawExample:
        numbers = {name: _number(row[name]) for name in self._columns}
        if strange := [name for name, number in numbers.items() if number is None]:
            raise BadInput(
                f"column {strange[0]!r} holds {row[strange[0]][:40]!r} in line {line}, and the model takes numbers: "
                "write it as numbers, remove the line, or leave the column out"
            )
        return in_memory(f"line {line}", row[self.target].strip(), json.dumps(numbers).encode())

    @cached_property
    def _columns(self) -> Sequence[str]:
        return [name for name in self._rows[0][1] if name != self.target]

    @cached_property
    def _rows(self) -> Sequence[tuple[int, dict[str, str]]]:
        """Line number and cells of every row, all of the header's length."""
        rows = list(_lines(self.content, self.dataset))
        if len(rows) < 2:
            raise BadInput(f"{self.dataset} holds no table: a line of column names, then one line for each row")
        _, header = rows[0]
        if len(set(header)) != len(header) or "" in header:
            raise BadInput(f"every column of {self.dataset} needs a name of its own; the first line is {header[:12]}")
        if self.target not in header:
            raise BadInput(f"{self.dataset} has no column {self.target!r}: --target is one of {', '.join(header[:20])}")
        if len(header) < 2:
            raise BadInput(f"{self.dataset} has one column alone, so nothing tells {self.target}: give it more")
        for line, cells in rows[1:]:
            if len(cells) != len(header):
                raise BadInput(f"line {line} of {self.dataset} has {len(cells)} cells and the first {len(header)}")
        return [(line, dict(zip(header, cells, strict=True))) for line, cells in rows[1:]]


def _lines(content: bytes, dataset: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not empty."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        yield from ((reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{dataset} cannot be read as CSV in UTF-8: {error}") from error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _fits(number: float | None) -> bool:
    """Whether it stays a number in float32; not a number is on neither side of anything."""
    return number is not None and abs(number) <= LARGEST


def open_table(path: Path | None, target: str) -> TableFile:
    """A team's own file.

    Raises:
        BadInput: no file, or no target named.
    """
    if path is None or not path.is_file():
        raise BadInput(f"{path or '--source table'} is no file: give --data-dir a CSV file")
    if not target:
        raise BadInput("--target names the column that the model should tell from the others; give it")
    return TableFile(path.read_bytes(), path.stem, target)


def sample(dataset: str) -> TableFile | None:
    """The built-in sample table of that name, if there is one."""
    made = TABLES.get(dataset)
    return TableFile(made.write(), dataset, made.target, "sample") if made else None
