"""Where answers go: a table for people, JSON lines or CSV for programs, to stdout or to a file.

A file is a record of what is done: a later run reads which items it holds and asks only about the
others. A last line that a killed run left half-written is dropped.
"""

import csv
import io
import json
import os
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.table import Table

from clients.answers import Classification
from serving.errors import BadInput

COLUMNS = ("item", "label", "probability", "model", "version")
HEADER = ",".join(COLUMNS).encode()


class Sink(Protocol):
    """Takes answers one by one."""

    def add(self, item: str, answer: Classification) -> None:
        """Keep or print one answer."""

    def close(self) -> None:
        """Print what is still kept."""


def shown(item: str) -> str:
    """A file name as UTF-8 can say it; bytes that are none are written as escapes."""
    return item.encode("utf-8", "backslashreplace").decode()


class JsonLines:
    """One object a line: the item's name, the best label, and the others under `top`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, item: str, answer: Classification) -> None:
        """Write one line, at once."""
        self._file.write(json.dumps({"item": item} | answer.as_json(), ensure_ascii=not item.isprintable()) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing is kept."""


class Csv:
    """One row an answer, with the best label; columns as in COLUMNS."""

    def __init__(self, file: TextIO, *, header: bool = True) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        if header:
            self._writer.writerow(COLUMNS)

    def add(self, item: str, answer: Classification) -> None:
        """Write one row, at once."""
        self._writer.writerow((shown(item), answer.label, answer.probability, answer.model, answer.version))
        self._file.flush()

    def close(self) -> None:
        """Nothing is kept."""


class Tabbed:
    """The item, its label and the probability, separated by tabs: for a pipe."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, item: str, answer: Classification) -> None:
        """Write one line, at once."""
        self._file.write(f"{shown(item)}\t{answer.label}\t{answer.probability:.4f}\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing is kept."""


class PrettyTable:
    """A table on a terminal, printed when all is known."""

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file)
        self._table = Table("item", "label", "probability", "then", "by")

    def add(self, item: str, answer: Classification) -> None:
        """Keep one row."""
        others = ", ".join(f"{ranked.label} {ranked.probability:.3f}" for ranked in answer.top[1:])
        name = shown(item)
        name = name if len(name) <= 60 else name[:57] + "..."
        cells = (name, answer.label, f"{answer.probability:.3f}", others, f"{answer.model}/{answer.version}")
        self._table.add_row(*(cell.replace("[", r"\[") for cell in cells))

    def close(self) -> None:
        """Print the table, if there is anything in it."""
        if self._table.row_count:
            self._console.print(self._table)


class OutputFile:
    """A file of JSON lines or CSV that is carried on where an earlier run stopped."""

    def __init__(self, path: Path, *, as_csv: bool) -> None:
        """Read what the file holds, and open it for more.

        Raises:
            BadInput: the file cannot be read or written, or holds something else.
        """
        try:
            kept = _whole_lines(path, HEADER if as_csv else b'{"item": ')
            self._done = _items_in_csv(kept) if as_csv else _items_in_json(kept)
            self._named = shown if as_csv else str
            self._file = path.open("a", encoding="utf-8", newline="")
            os.truncate(path, len(kept))
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise BadInput(f"{path} is no output of an earlier run ({error}); choose another --output") from error
        except OSError as error:
            raise BadInput(f"{path} cannot be used as output: {error.strerror or error}") from error
        self._sink: Sink = Csv(self._file, header=not kept) if as_csv else JsonLines(self._file)

    def holds(self, item: str) -> bool:
        """Whether an earlier run has answered this item."""
        return self._named(item) in self._done

    def add(self, item: str, answer: Classification) -> None:
        """Append one answer, at once."""
        self._sink.add(item, answer)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _whole_lines(path: Path, opening: bytes) -> bytes:
    """What stands in the file up to its last line end; a half line behind it must be one of ours."""
    held = path.read_bytes() if path.exists() else b""
    kept = held[: held.rfind(b"\n") + 1]
    half = held[len(kept) :]
    if half[: len(opening)] != opening[: len(half)] and (not kept or opening != HEADER):
        raise ValueError("it ends in a line of another kind")
    return kept


def _items_in_json(held: bytes) -> set[str]:
    return {str(json.loads(line)["item"]) for line in held.splitlines()}


def _items_in_csv(held: bytes) -> set[str]:
    if held and not held.startswith(HEADER):
        raise ValueError("its first row is not the header")
    return {str(row["item"]) for row in csv.DictReader(io.StringIO(held.decode(), newline=""), strict=True)}
