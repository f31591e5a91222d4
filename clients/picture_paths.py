"""Which files a command line means: files, folders, patterns and standard input."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

STDIN = "-"
SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif"))
"""What is taken out of a folder; a file that is named is sent whatever it is called."""


def expanded(arguments: Iterable[str]) -> list[str]:
    """Every picture meant, each once, in the order given, those of a folder or pattern sorted.

    What matches nothing stays as it is: reading it fails, and the failure names it.
    """
    return list(dict.fromkeys(path for argument in arguments for path in _meant_by(argument)))


def _meant_by(argument: str) -> Iterator[str]:
    path = Path(argument)
    if argument == STDIN or path.is_file():
        return iter([argument])
    if path.is_dir():
        found = [str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
    else:
        found = [name for name in glob.glob(argument, recursive=True) if Path(name).is_file()]
    return iter(sorted(found) or [argument])
