"""Arrays as TensorFlow Serving's REST predict has them: lists, and base64 for bytes.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and "Encoding binary values".
"""

import base64
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

DType = np.dtype[Any]
_SAME = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128")
_TYPES: Mapping[str, DType] = {
    **{f"DT_{name.upper()}": np.dtype(name) for name in _SAME},
    "DT_HALF": np.dtype(np.float16),
    "DT_BFLOAT16": np.dtype(ml_dtypes.bfloat16),
    "DT_FLOAT": np.dtype(np.float32),
    "DT_DOUBLE": np.dtype(np.float64),
    "DT_STRING": np.dtype(object),
}
"""Written out here, since loading the messages only for their names takes longer than everything else."""


def as_json(array: NDArray[Any]) -> Any:
    """Nested lists; `bytes` become {"b64": ...}."""
    return _coded(array.tolist()) if array.dtype.hasobject else array.tolist()


def output_types(metadata: Mapping[str, Any], signature: str) -> dict[str, DType]:
    """What a signature's outputs are made of, out of the answer to GET .../metadata."""
    outputs = metadata["metadata"]["signature_def"]["signature_def"][signature]["outputs"]
    return {name: _TYPES[tensor["dtype"]] for name, tensor in outputs.items()}


def outputs(answer: Mapping[str, Any], kinds: Mapping[str, DType]) -> dict[str, NDArray[Any]]:
    """Arrays by name; a single output comes without its name."""
    found = answer["outputs"]
    if len(kinds) == 1:
        found = {next(iter(kinds)): found}
    return {name: _array(found[name], kind) for name, kind in kinds.items()}


def _array(value: Any, kind: DType) -> NDArray[Any]:
    return np.array(_decoded(value) if kind.hasobject else value, dtype=kind)


def _coded(value: Any) -> Any:
    if isinstance(value, list):
        return [_coded(each) for each in value]
    return {"b64": base64.b64encode(value.encode() if isinstance(value, str) else value).decode()}


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else str(value).encode()
