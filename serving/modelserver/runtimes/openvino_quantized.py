"""The int8 form of a signature: an OpenVINO model that training wrote beside the SavedModel.

`training/quantized.py` writes it and measures it, the card says whether it may answer, `choice.py`
asks for it. It takes the same inputs and gives the same outputs, under the signature's own names.
"""

from pathlib import Path

from serving.errors import DataLoss
from serving.modelserver.runtimes.openvino_conversion import Converted, place, read
from serving.modelserver.runtimes.openvino_program import Ports
from serving.modelserver.runtimes.protocol import Signature
from serving.modelserver.runtimes.saved_model import Bundle

FOLDER = "assets.extra/int8"


def file_of(version: Path, signature: str) -> Path:
    """Where the int8 form of a signature lies in a version's folder, if it has one."""
    return version / FOLDER / f"{signature}.xml"


def forms(bundle: Bundle) -> set[str]:
    """The signatures that have an int8 form; a name that leads out of the folder has none.

    Raises:
        DataLoss: none has.
    """
    found = {name for name in bundle.signatures if "/" not in name and file_of(bundle.folder, name).is_file()}
    if not found:
        raise DataLoss(f"Its card allows int8, but {FOLDER} is not there: copy the whole version again")
    return found


def converted(bundle: Bundle, signature: Signature) -> Converted:
    """Read the int8 form.

    Raises:
        DataLoss: it is damaged, or not of this signature.
        NotConvertible: an input or output has another type than the signature's.
    """
    model = read(file_of(bundle.folder, signature.name))
    inputs = tuple(place(model.inputs, alias, spec.data_type) for alias, spec in signature.inputs.items())
    outputs = {alias: place(model.outputs, alias, spec.data_type) for alias, spec in signature.outputs.items()}
    if len(inputs) != len(model.inputs):
        raise DataLoss(f"{file_of(bundle.folder, signature.name)} takes other inputs than its signature")
    return Converted(model, Ports(inputs, outputs), ())
