"""Open Inference Protocol over gRPC: ModelInferRequest to arrays, arrays to ModelInferResponse."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadInput
from serving.wire.oip_tensors import InferRequest, datatype, from_raw, numpy_dtype, shaped, to_raw
from serving.wire.protos import InferTensorContents, ModelInferRequest, ModelInferResponse
from serving.wire.tensors import byte_strings

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where typed values travel; FP16 and BF16 have no field and are always raw."""


def read_grpc(request: ModelInferRequest) -> InferRequest:
    """The tensors and wishes of a request. Raw inputs are read without a copy and answered raw.

    Raises:
        BadInput: names twice, typed and raw contents mixed, or a tensor that its contents do not fill.
    """
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise BadInput(f"{len(request.inputs)} inputs were sent with {len(raw)} raw_input_contents; send one for each")
    inputs: dict[str, NDArray[Any]] = {}
    for index, tensor in enumerate(request.inputs):
        if tensor.name in inputs:
            raise BadInput(f"Input '{tensor.name}' is in the request twice")
        try:
            inputs[tensor.name] = _raw(tensor, raw[index]) if raw else _typed(tensor)
        except BadInput as error:
            raise BadInput(f"Input '{tensor.name}': {error.message}") from error
    outputs = tuple(output.name for output in request.outputs)
    return InferRequest(inputs=inputs, outputs=outputs, id=request.id, binary_by_default=bool(raw))


def write_grpc(
    outputs: Mapping[str, NDArray[Any]], *, request: InferRequest, model_name: str, model_version: str
) -> ModelInferResponse:
    """The answer to a request: raw if its inputs were, or if an output has no typed field.

    Raises:
        BadInput: an output of a type that the protocol does not have.
    """
    response = ModelInferResponse(model_name=model_name, model_version=model_version, id=request.id)
    names = {name: datatype(array.dtype) for name, array in outputs.items()}
    raw = request.binary_by_default or not names.keys() <= {name for name in names if names[name] in _FIELDS}
    for name, array in outputs.items():
        tensor = response.outputs.add(name=name, datatype=names[name], shape=array.shape)
        if raw:
            response.raw_output_contents.append(to_raw(array))
        else:
            values = byte_strings(array) if names[name] == "BYTES" else array.ravel().tolist()
            getattr(tensor.contents, _FIELDS[names[name]]).extend(values)
    return response


def _raw(tensor: Any, content: bytes) -> NDArray[Any]:
    if tensor.HasField("contents"):
        raise BadInput("it has contents as well as raw_input_contents; send one of them")
    return from_raw(content, tensor.datatype, list(tensor.shape))


def _typed(tensor: Any) -> NDArray[Any]:
    dtype = numpy_dtype(tensor.datatype)
    wanted = _FIELDS.get(tensor.datatype)
    if wanted is None:
        raise BadInput(f"{tensor.datatype} can only be sent in raw_input_contents")
    for field, _ in tensor.contents.ListFields():
        if field.name != wanted:
            raise BadInput(f"{tensor.datatype} values belong into {wanted}, not into {field.name}")
    return shaped(_values(tensor.contents, wanted, dtype), list(tensor.shape))


def _values(contents: InferTensorContents, field: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    sent = getattr(contents, field)
    if dtype == np.object_:
        values = np.empty(len(sent), np.object_)
        values[:] = sent[:]
        return values
    carried = np.array(sent, {"int_contents": np.int32, "uint_contents": np.uint32}.get(field, dtype))
    values = carried.astype(dtype, copy=False)
    if carried.dtype != dtype and (carried != values).any():
        raise BadInput(f"a value does not fit into {dtype}")
    return values
