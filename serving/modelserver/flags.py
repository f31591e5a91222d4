"""The command line: every flag of tensorflow_model_server by its name and default, and a few of our own.

A flag is `--name=value`; for a switch `--name` alone is enough. flag_table.py lists them, __main__.py
acts on what is read here. This room knows no server.
"""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from serving.errors import BadInput
from serving.modelserver.flag_table import Flags

_NUMBER = re.compile(r"[-+0-9.eE]+")
"""Python's int() and float() take blanks, underscores and the digits of other scripts as well."""

_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


class UsageError(BadInput):
    """The command line cannot be read; the text says which flag and why."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line as it was understood."""

    flags: Flags
    unknown: tuple[str, ...]
    """Arguments that are no flag of this server, in their order."""
    warnings: tuple[str, ...]
    """Sentences about flags that were given and have no effect here."""
    help_wanted: bool


def parse(arguments: Sequence[str]) -> CommandLine:
    """Read a command line, program name left out.

    Raises:
        UsageError: a value that its flag cannot take.
    """
    known = {field.name: field for field in fields(Flags)}
    given: dict[str, Any] = {}
    unknown: list[str] = []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and name in known and (equals or known[name].type is bool):
            given[name] = _value(name, known[name].type, text if equals else "true")
        elif argument != "--help":
            unknown.append(argument)
    warnings = [
        f"--{name} has no effect here: {known[name].metadata['no_effect']}"
        for name, value in given.items()
        if "no_effect" in known[name].metadata and value != known[name].metadata["anyway"]
    ]
    return CommandLine(Flags(**given), tuple(unknown), tuple(warnings), "--help" in arguments)


def _value(name: str, kind: Any, text: str) -> Any:
    facts = Flags.__dataclass_fields__[name].metadata
    try:
        value = _switch(text) if kind is bool else text if kind is str else _number(text, kind, facts.get("bits", 32))
    except ValueError as error:
        raise UsageError(f"--{name}={text} cannot be read as {kind.__name__}: {error}") from error
    allowed = facts.get("one_of")
    if allowed and value not in allowed:
        raise UsageError(f"--{name}={text} must be one of {', '.join(allowed)}")
    return value


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("true or false is expected")
    return text.lower() in _TRUE


def _number(text: str, kind: type[int] | type[float], bits: int) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError("a number is expected")
    value = kind(text)
    if kind is float and not math.isfinite(value):
        raise ValueError("a finite number is expected")
    if kind is int and not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"it takes more than {bits} bits")
    return value


def complaint(argument: str) -> str:
    """The line about an argument that is no flag, with the nearest name or the right form."""
    names = [field.name for field in fields(Flags)]
    name = argument.lstrip("-").partition("=")[0].replace("-", "_")
    said = f"unknown argument: {argument}"
    if name in names:
        return f"{said} (write --{name}=VALUE)"
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"{said} (did you mean --{nearest[0]}?)" if nearest else said


def usage(program: str = "python -m serving.modelserver") -> str:
    """All flags with kind, default and purpose."""
    lines = [f"usage: {program}", "Flags:"]
    for field in fields(Flags):
        kind = getattr(field.type, "__name__", str(field.type))
        default = f'"{field.default}"' if field.type is str else str(field.default).lower()
        lines.append(f"\t--{field.name + '=' + default:<46}\t{kind}\t{field.metadata['purpose']}")
    return "\n".join(lines) + "\n"
