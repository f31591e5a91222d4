"""GetModelStatus: every version of a model that the server has known, and how it stands."""

from collections.abc import Sequence

from serving.errors import NotFound
from serving.modelserver.lifecycle.manager import ModelManager
from serving.modelserver.lifecycle.versions import VersionStatus


def run(manager: ModelManager, name: str, version: int | None = None) -> Sequence[VersionStatus]:
    """The states of all versions, highest first, or of the one asked for. A label plays no part.

    Raises:
        NotFound: the server has never known such a version, or any of that model.
    """
    found = manager.status(name, version)
    if found:
        return found
    if version is None:
        raise NotFound(f"Could not find any versions of model {name}")
    raise NotFound(f"Could not find version {version} of model {name}")
