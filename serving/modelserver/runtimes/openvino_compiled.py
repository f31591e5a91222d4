"""A signature compiled by OpenVINO; packed as bytes, it can be compiled in one process and run in another.

`compiled_version.py` makes one of each signature that converts, `on_openvino.py` runs it.
"""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serving.errors import Aborted
from serving.modelserver.runtimes import openvino_conversion, saved_model
from serving.modelserver.runtimes.openvino_conversion import Converted, NotConvertible, core
from serving.modelserver.runtimes.openvino_program import Ports, reason
from serving.modelserver.runtimes.openvino_shapes import Shape, Shapes
from serving.modelserver.runtimes.openvino_source import Source
from serving.modelserver.runtimes.protocol import Signature
from serving.modelserver.runtimes.saved_model import Bundle
from serving.placement import spread_out

Read = Callable[[Bundle, Signature], Converted]
"""From a signature to the OpenVINO model that computes it."""

Config = Mapping[str, Any]
"""OpenVINO's properties."""

MANY = 1 << 20
"""Rows: no limit is known beyond which they gain nothing."""


@dataclass(slots=True)
class Compiled:
    """Programs of one signature, and what is known of its shapes."""

    signature: Signature
    config: Config
    read: Read
    source: Source
    shapes: Shapes
    ports: Ports
    narrowed: tuple[str, ...]
    """As in Converted."""
    exact: dict[tuple[Shape, ...], Any]
    """Compiled for inputs of exactly these shapes, most rows first."""
    whole: Any
    """Compiled for every shape that the signature states; None where `exact` does, or its ranks are not known."""
    later: Sequence[int] = ()
    """Numbers of rows that are worth a program only once so many come: see `openvino_growth.py`."""
    simplified: Converted | None = None
    """What those are to be compiled from, if there are any."""

    @property
    def best_rows(self) -> int:
        """See LoadedModel.best_rows."""
        return max((*(shapes[0][0] for shapes in self.exact), *self.later), default=MANY)


@dataclass(frozen=True, slots=True)
class Packed:
    """The same as bytes, good for this machine and this release of OpenVINO."""

    signature: Signature
    config: Config
    read: Read
    declared: tuple[Shape | None, ...]
    ports: Ports
    narrowed: tuple[str, ...]
    exact: Mapping[tuple[Shape, ...], bytes]
    whole: bytes


def compiled(
    bundle: Bundle,
    signature: Signature,
    config: Config,
    read: Read = openvino_conversion.convert,
    rows: Sequence[int] = (),
    later: Sequence[int] = (),
) -> Compiled:
    """Convert and compile.

    Args:
        bundle: the version.
        signature: which of its signatures.
        config: from `on_openvino.settings`.
        read: where the OpenVINO model comes from.
        rows: from `on_openvino.own_rows`, if the answer to each row is known not to depend on the others.
        later: the same, not to be compiled now.

    Raises:
        NotConvertible: operations, types or names that OpenVINO does not have.
        DataLoss: the version's files are damaged.
    """
    converted = read(bundle, signature)
    shapes = Shapes(source := Source(converted, _again(bundle, signature, read)))
    simple = _simplified(converted) if later else None
    exact = _compiled_for(rows, simple or converted, shapes.declared, config)
    whole = compile_model(converted, config) if not exact and None not in shapes.declared else None
    shapes.forget_source()
    ports, narrowed = converted.ports, converted.narrowed
    return Compiled(signature, config, read, source, shapes, ports, narrowed, exact, whole, later, simple)


def grown(made: Compiled) -> dict[tuple[Shape, ...], Any]:
    """The programs that were left for later, most rows first; what they are compiled from is let go of.

    Raises:
        NotConvertible: OpenVINO does not compile them after all.
    """
    simple, made.simplified = made.simplified, None
    return _compiled_for(made.later, simple, made.shapes.declared, made.config) if simple is not None else {}


def _simplified(converted: Converted) -> Converted:
    """A copy of the graph as every compilation would rewrite it first; programs compiled from it share its weights.

    Each would fold normalization into weights of its own otherwise: 12 MB for a MobileNetV2 in float32.
    """
    from openvino._offline_transformations import apply_moc_transformations  # as OpenVINO's own converter calls it

    model = converted.model.clone()
    apply_moc_transformations(model, cf=True)
    return replace(converted, model=model)


def compile_model(converted: Converted, config: Config) -> Any:
    """An OpenVINO CompiledModel; raises NotConvertible where the CPU has no such operation."""
    try:
        with spread_out():
            return core().compile_model(converted.model, "CPU", dict(config))
    except RuntimeError as error:
        raise NotConvertible(reason(error)) from error


def packed(made: Compiled) -> Packed | None:
    """As bytes; None where the converted graph is needed later too, since not every stated size can be taken."""
    if not made.shapes.settled:
        return None
    return Packed(
        made.signature,
        made.config,
        made.read,
        made.shapes.declared,
        made.ports,
        made.narrowed,
        {shapes: _bytes(program) for shapes, program in made.exact.items()},
        _bytes(made.whole) if made.whole is not None else b"",
    )


def unpacked(package: Packed, bundle: Bundle) -> Compiled:
    """Ready to run here: a fifth of the work of compiling, most of it outside the calling thread.

    Raises:
        RuntimeError: OpenVINO does not take it, as it is of another machine or release.
    """
    source = Source(None, _again(bundle, package.signature, package.read))
    config = dict(package.config)
    return Compiled(
        package.signature,
        package.config,
        package.read,
        source,
        Shapes(source, package.declared),
        package.ports,
        package.narrowed,
        {shapes: _imported(program, config) for shapes, program in package.exact.items()},
        _imported(package.whole, config) if package.whole else None,
    )


def _bytes(program: Any) -> bytes:
    blob: bytes = program.export_model().getvalue()
    return blob


def _imported(program: bytes, config: dict[str, Any]) -> Any:
    return core().import_model(io.BytesIO(program), "CPU", config)


def _compiled_for(
    rows: Sequence[int], converted: Converted, declared: Sequence[Shape | None], config: Config
) -> dict[tuple[Shape, ...], Any]:
    """Programs for exactly so many rows, most rows first; empty unless nothing but their number varies."""
    found: dict[tuple[Shape, ...], Any] = {}
    known = [shape or () for shape in declared]
    if not known or any(shape[:1] != (-1,) or -1 in shape[1:] for shape in known):
        return found
    for count in sorted(rows, reverse=True):
        shapes = tuple((count, *shape[1:]) for shape in known)
        exact = replace(converted, model=converted.model.clone())
        exact.reshape(exact.model, shapes)
        found[shapes] = compile_model(exact, config)
    return found


def _again(bundle: Bundle, signature: Signature, read: Read) -> Callable[[], Converted]:
    """Convert once more; the graph itself is not kept for that."""
    return functools.partial(_converted_again, bundle.folder, bundle.tags, bundle.stamp, signature, read)


def _converted_again(
    folder: Path, tags: frozenset[str], stamp: tuple[int, ...], signature: Signature, read: Read
) -> Converted:
    bundle = saved_model.read(folder, tags)
    if bundle.stamp != stamp:
        raise Aborted(f"version {folder.name} was replaced on disk since it was loaded")
    return read(bundle, signature)
