"""Read a SavedModel's own description, without any framework: its MetaGraph and its signatures.

Both runtimes start here. This room knows the file; what a graph reaches and how it is rewritten is
in `graph.py`.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from serving.errors import DataLoss, NotFound, ServingError, Unimplemented
from serving.modelserver.runtimes.protocol import Signature, TensorSpec
from serving.wire import tensors
from serving.wire.protos import POOL, MetaGraphDef, SavedModel, SignatureDef, TensorInfo

BINARY, TEXT = "saved_model.pb", "saved_model.pbtxt"

INIT_OP = "__saved_model_init_op"
"""An entry among the signatures of TensorFlow 2 that is none: it names the op to run at load."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a version folder says of itself."""

    folder: Path
    meta_graph: MetaGraphDef
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, SignatureDef]
    plain: bool
    """One MetaGraph, tagged `serve` alone, in binary: any reader finds the same one."""
    tags: frozenset[str]
    stamp: tuple[int, ...]
    """Changes when the file is replaced."""


def read(folder: Path, tags: frozenset[str] = frozenset({"serve"})) -> Bundle:
    """Read `saved_model.pb` and take the MetaGraph whose tags are exactly these.

    Raises:
        NotFound: no SavedModel in the folder, or none with these tags.
        Unimplemented: a SessionBundle, the format before SavedModel.
        DataLoss: the file is cut short, not a SavedModel, or holds a signature that cannot be read.

    Source: the texts are TensorFlow's (cc/saved_model/reader.cc).
    """
    stamp = _stamp(folder)
    model = _parse(folder)
    chosen = [graph for graph in model.meta_graphs if set(graph.meta_info_def.tags) == tags]
    if not chosen:
        raise NotFound(
            f"Could not find meta graph def matching supplied tags: {{ {' '.join(sorted(tags))} }}. To inspect "
            "available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`. "
            f"It has {_tag_sets(model)}"
        )
    graph = chosen[0]
    definitions = {name: _detached(graph.signature_def[name]) for name in sorted(graph.signature_def)}
    signatures = {name: _signature(name, definitions[name]) for name in definitions if name != INIT_OP}
    plain = len(model.meta_graphs) == 1 and tags == {"serve"} and (folder / BINARY).exists()
    return Bundle(folder, graph, signatures, definitions, plain, tags, stamp)


def _parse(folder: Path) -> SavedModel:
    try:
        if (folder / BINARY).is_file():
            return SavedModel.FromString((folder / BINARY).read_bytes())
        if (folder / TEXT).is_file():
            return text_format.Parse((folder / TEXT).read_text("utf-8"), SavedModel(), descriptor_pool=POOL)
    except (DecodeError, RecursionError):
        raise DataLoss(f"Can't parse {folder / BINARY} as binary proto") from None
    except (text_format.ParseError, UnicodeDecodeError):
        raise DataLoss(f"Can't parse {folder / TEXT} as text proto") from None
    except OSError as error:
        raise ServingError(f"Can't read the SavedModel in {folder}: {error}") from error
    if (folder / "export.meta").exists():
        raise Unimplemented("Session Bundle is deprecated and removed.")
    raise NotFound(
        "Specified file path does not appear to contain a SavedModel bundle (should have a file called "
        f"`saved_model.pb`). Specified file path: {folder}"
    )


def _stamp(folder: Path) -> tuple[int, ...]:
    for name in (BINARY, TEXT):
        with contextlib.suppress(OSError):
            found = os.stat(folder / name)
            return found.st_ino, found.st_size, found.st_mtime_ns
    return ()


def _tag_sets(model: SavedModel) -> str:
    found = sorted("{ " + " ".join(sorted(graph.meta_info_def.tags)) + " }" for graph in model.meta_graphs)
    return ", ".join(found) or "none"


def _detached(definition: SignatureDef) -> SignatureDef:
    """A copy that does not keep the whole graph in memory, as a part of it would."""
    copy = SignatureDef()
    copy.CopyFrom(definition)
    return copy


def _signature(name: str, definition: SignatureDef) -> Signature:
    try:
        return Signature(
            name=name,
            inputs=_specs(definition.inputs),
            outputs=_specs(definition.outputs),
            method_name=definition.method_name,
            defaults=tensors.from_protos(definition.defaults),
        )
    except ServingError as error:
        raise DataLoss(f"Signature {name} has a default that cannot be read: {error.message}") from error


def _specs(side: Mapping[str, TensorInfo]) -> dict[str, TensorSpec]:
    """Sorted by alias, which is also the order of a TensorFlow 2 function's arguments."""
    return {alias: TensorSpec(info.dtype, _shape(info.tensor_shape), info.name) for alias, info in sorted(side.items())}


def _shape(shape: Any) -> tuple[int, ...] | None:
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
