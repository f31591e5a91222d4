"""Which version of a model serves: labels put on, taken back, old versions cleared away, a config for others.

Works on the models folder of `serving/repository.py`, whose labels.json both servers follow. What was
behind a label before is kept beside it, so that a rollback knows the way.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format

from serving import repository
from serving.errors import BadInput, FailedPrecondition, NotFound
from serving.wire.protos import POOL, ModelServerConfig

STABLE = "stable"
HISTORY = ".labels-history.json"
"""Label to the versions it was put on, the latest last; a file of the model's folder."""


def folder_of(models: Path, name: str) -> Path:
    """The folder of a model that has versions.

    Raises:
        NotFound: there is no such model.
    """
    repository.check_name(name)
    if not repository.versions(models / name):
        raise NotFound(f"there is no {name} in {models}; it holds {', '.join(repository.models(models)) or 'nothing'}")
    return models / name


def serving_version(model: Path) -> int | None:
    """The version that answers who names none: the one labeled stable, else the newest; None if there is none."""
    there = repository.versions(model)
    stable = repository.read_labels(model).get(STABLE)
    return stable if stable in there else max(there, default=None)


def promote(model: Path, version: int, label: str) -> int | None:
    """Put a label on a version; running servers follow.

    Returns:
        The version that had it before.

    Raises:
        NotFound: there is no such version.
    """
    labels = repository.read_labels(model)
    before = labels.get(label)
    history = _history(model)
    past = history.get(label, [])
    if before is not None and past[-1:] != [before]:  # labels.json was changed by hand, or by a promotion cut short
        past = [*past, before]
    repository.write_labels(model, {**labels, label: version})
    if version != before:
        _remember(model, {**history, label: [*past, version]})
    return before


def rollback(model: Path, label: str = STABLE) -> tuple[int | None, int]:
    """Put a label back on the version that had it before; without a past, on the one below.

    Returns:
        The version it was on, and the one it is on now.

    Raises:
        NotFound: there is nothing to go back to.
    """
    there, history = repository.versions(model), _history(model)
    now = repository.read_labels(model).get(label, max(there, default=None))
    past = [version for version in history.get(label, []) if version in there]
    while past[-1:] == [now]:
        past.pop()
    target = (
        past[-1] if past else max((version for version in there if now is not None and version < now), default=None)
    )
    if target is None:
        raise NotFound(f"{model.name} has no version before {now} that {label} could go back to; it has {there}")
    repository.write_labels(model, {**repository.read_labels(model), label: target})
    _remember(model, {**history, label: past or [target]})
    return now, target


def prune(model: Path, keep: int) -> list[int]:
    """Remove all versions but the newest `keep` and those with a label; returns what was removed.

    A version is renamed out of sight first, so that no reader finds half of one.

    Raises:
        NotFound: the model has no version.
    """
    folders, labeled = repository.folders(model), set(repository.read_labels(model).values())
    if not folders:
        raise NotFound(f"there is no version of {model.name} in {model.parent}")
    for left in model.glob(".*.removed"):  # of a prune that was killed
        shutil.rmtree(left)
    removed = [version for version in sorted(folders)[:-keep] if version not in labeled]
    for version in removed:
        away = model / f".{version}.removed"
        folders[version].rename(away)
        shutil.rmtree(away)
    return removed


def models_config(models: Path, base_path: str) -> str:
    """A models.config for TensorFlow Serving, in text format: every model with its labels and versions.

    Where there are labels, the labeled versions and the newest are listed by number, since TensorFlow
    Serving refuses a label of a version that it does not load; else the newest is served.

    Raises:
        BadInput: base_path is not absolute.
        NotFound: there is no model in the folder.
    """
    if not Path(base_path).is_absolute():
        raise BadInput(f"{base_path} is no absolute path: give the models folder as the server sees it")
    names = repository.models(models)
    if not names:
        raise NotFound(f"there is no model in {models}")
    config = ModelServerConfig()
    for name in names:
        labels, there = repository.read_labels(models / name), repository.versions(models / name)
        if gone := sorted(label for label, version in labels.items() if version not in there):
            raise FailedPrecondition(f"label {gone[0]} of {name} names version {labels[gone[0]]}, which is not there")
        entry = config.model_config_list.config.add(
            name=name, base_path=f"{base_path.rstrip('/')}/{name}", model_platform="tensorflow"
        )
        if labels:
            entry.model_version_policy.specific.versions.extend(sorted({*labels.values(), max(there)}))
        else:
            entry.model_version_policy.latest.num_versions = 1
        for label, version in sorted(labels.items()):
            entry.version_labels[label] = version
    written: str = text_format.MessageToString(config, descriptor_pool=POOL)
    return written


def _history(model: Path) -> dict[str, list[int]]:
    """Empty where it is missing or cannot be read: then a rollback goes by the numbers."""
    try:
        document = json.loads((model / HISTORY).read_bytes())
        return {str(label): [int(version) for version in past] for label, past in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(model: Path, history: Mapping[str, list[int]]) -> None:
    text = json.dumps(dict(history)) + "\n"
    repository.write_whole(model / HISTORY, lambda file: file.write(text.encode()))
