"""What lies on the disk: which versions a model's base path has, and which of them are wanted.

Looks, and remembers nothing; lineup.py compares what is seen with what is served.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from serving.modelserver.lifecycle.settings import All, Latest, ModelSettings, Policy, Specific
from serving.repository import is_text, read_labels, versions_in


def wanted(found: Mapping[int, Path], policy: Policy, labeled: Iterable[int] = ()) -> dict[int, Path]:
    """The versions to serve, highest first: those of the policy, and those that labels name."""
    match policy:
        case Latest(count):
            numbers = set(sorted(found)[-count:])
        case All():
            numbers = set(found)
        case Specific(versions):
            numbers = set(found) & versions
    numbers |= set(labeled) & found.keys()
    return {number: found[number] for number in sorted(numbers, reverse=True)}


def demanded(policy: Policy) -> frozenset[int]:
    """The versions that a policy names and that should therefore exist."""
    return policy.versions if isinstance(policy, Specific) else frozenset()


def labels_of(settings: ModelSettings) -> Mapping[str, int]:
    """The labels that a model should have: of its config, or of its labels.json.

    Raises:
        OSError: labels.json cannot be read.
        DataLoss: it says something else than labels.
    """
    return settings.labels if settings.labels is not None else read_labels(settings.base_path)


def models_in(root: Path, known: Iterable[str]) -> list[ModelSettings]:
    """Every sub-folder that holds a version is a model; one that cannot be read counts if it was known.

    Raises:
        OSError: the root itself is missing or cannot be read.
    """
    with os.scandir(root) as entries:
        named = [entry for entry in entries if not entry.name.startswith(".") and is_text(entry.name)]
    folders = sorted((entry.name, Path(entry.path)) for entry in named)
    before = set(known)
    return [ModelSettings(name, path, labels=None) for name, path in folders if _holds_versions(path, name in before)]


def _holds_versions(folder: Path, known: bool) -> bool:
    try:
        return bool(versions_in(folder))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return known
