"""Save a TensorFlow 1 graph with its signatures; used by the builders beside this file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

v1 = tf.compat.v1

PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))


def placeholder(name: str, dtype: Any, shape: Sequence[int | None] | None) -> Any:
    """A fed tensor."""
    return v1.placeholder(dtype, shape, name=name)


def signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any], method: str = PREDICT) -> Any:
    """A SignatureDef over tensors of the graph."""
    sides = ({alias: _info(tensor) for alias, tensor in side.items()} for side in (inputs, outputs))
    return meta_graph_pb2.SignatureDef(inputs=next(sides), outputs=next(sides), method_name=method)


def _info(tensor: Any) -> Any:
    number, shape = tensor.dtype.as_datatype_enum, tensor.shape.as_proto()
    return meta_graph_pb2.TensorInfo(name=tensor.name, dtype=number, tensor_shape=shape)


def save(version: Path, build: Callable[[], Mapping[str, Any]], tags: Sequence[str] = ("serve",)) -> None:
    """Build a graph, start its variables and tables, and write it with the signatures that `build` returns."""
    with v1.Graph().as_default(), v1.Session() as session:
        signatures = build()
        start_tables = v1.tables_initializer()
        session.run([v1.global_variables_initializer(), start_tables])
        builder = v1.saved_model.Builder(str(version))
        builder.add_meta_graph_and_variables(
            session,
            list(tags),
            signature_def_map=signatures,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.group(start_tables, name="main_op"),
        )
        builder.save()
