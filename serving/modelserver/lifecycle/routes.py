"""From a model's name to the version that answers: what every request looks up.

A table is replaced as a whole and never changed, so reading it takes no lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.errors import BadInput, NotFound
from serving.modelserver.lifecycle.versions import ServedVersion


@dataclass(frozen=True, slots=True)
class Route:
    """What can be asked of one model at this moment."""

    latest: ServedVersion | None = None
    versions: Mapping[int, ServedVersion] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)


_NOTHING = Route()


def find(table: Mapping[str, Route], name: str, version: int | None, label: str | None) -> ServedVersion:
    """The version that a request means; the label is looked up before the model.

    Raises:
        BadInput: no such label.
        NotFound: no such model, or the version is not available.
    """
    route = table.get(name, _NOTHING)
    if label is not None:
        version = route.labels.get(label)
        if version is None:
            raise BadInput(f"Unrecognized servable version label: {label}")
    found = route.latest if version is None else route.versions.get(version)
    if found is None:
        what = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise NotFound(f"Servable not found for request: {what}")
    return found
