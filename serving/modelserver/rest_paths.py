"""Which call a REST path means. Matching is done on the raw path; %-escapes are read afterwards."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from serving.errors import BadInput

Verb = Literal["predict", "classify", "regress", "metadata", "status"]

_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_INFERENCE = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.IGNORECASE)
_LOOK = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?", re.IGNORECASE)
_LARGEST_VERSION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    verb: Verb
    name: str
    version: int | None = None
    label: str | None = None


def is_v1(path: str) -> bool:
    """Whether a raw path belongs to TensorFlow Serving's REST API."""
    return path[:4].lower() == "/v1/"


def model_name(path: str) -> str:
    """The model that a path names, for counting; empty if it names none."""
    found = _INFERENCE.fullmatch(path) or _LOOK.fullmatch(path)
    return unquote(found["name"] or "") if found else ""


def target(method: str, path: str) -> Target:
    """What a method and a raw path, query included, ask for.

    Raises:
        BadInput: nothing that is served; the text is the original's.
    """
    found = None
    if method == "POST":
        found = _INFERENCE.fullmatch(path)
    elif method == "GET":
        found = _LOOK.fullmatch(path)
    if found is None:
        raise BadInput(f"Malformed request: {method} {path}")
    if not found["name"]:
        raise BadInput("Missing model name in request.")
    label = found["label"]
    return Target(
        _verb(found["verb"]),
        unquote(found["name"]),
        None if found["version"] is None else _version(found["version"]),
        None if label is None else unquote(label),
    )


def _verb(text: str | None) -> Verb:
    verbs: dict[str, Verb] = {
        "predict": "predict",
        "classify": "classify",
        "regress": "regress",
        "metadata": "metadata",
    }
    return verbs[text.lower()] if text else "status"


def _version(digits: str) -> int:
    if len(digits.lstrip("0")) > 19 or int(digits) > _LARGEST_VERSION:
        raise BadInput(f"Failed to convert version: {digits} to numeric.")
    return int(digits)
