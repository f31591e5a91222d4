"""GetModelMetadata: the signatures of one version, as its file stores them."""

from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from serving.errors import BadInput
from serving.modelserver.lifecycle.manager import ModelManager

SIGNATURE_DEF = "signature_def"


def check_fields(fields: Sequence[str]) -> None:
    """Refuse to be asked for nothing, or for anything but the signatures.

    Raises:
        BadInput: in both cases.
    """
    if not fields:
        raise BadInput("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != SIGNATURE_DEF:
            raise BadInput(f"Metadata field {field} is not supported")


def run(
    manager: ModelManager, name: str, version: int | None = None, label: str | None = None
) -> tuple[int, Mapping[str, Message]]:
    """The version that was meant, and its tensorflow.SignatureDef by name.

    Raises:
        NotFound: no such model or version is available.
        BadInput: no such label.
    """
    with manager.acquire(name, version=version, label=label) as served:
        return served.version, served.model.signature_defs
