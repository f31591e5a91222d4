"""A version read from its folder and compiled as far as OpenVINO can; packed, it crosses a pipe.

`choice.py` serves it. What takes the time of a load is all here, and can be done in another
process (`conversion_process.py`), so that requests under way need not share their cores with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving import repository
from serving.card import CardError, ModelCard
from serving.errors import DataLoss
from serving.modelserver.runtimes import (
    graph,
    machine,
    openvino_compiled,
    openvino_conversion,
    openvino_quantized,
    saved_model,
)
from serving.modelserver.runtimes.on_openvino import own_rows, settings
from serving.modelserver.runtimes.openvino_compiled import Compiled, Packed
from serving.modelserver.runtimes.openvino_conversion import NotConvertible
from serving.modelserver.runtimes.precision import settled_precision
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, RuntimeOptions, Signature
from serving.modelserver.runtimes.saved_model import Bundle
from serving.wire.protos import MetaGraphDef, SignatureDef


@dataclass(slots=True)
class CompiledVersion:
    """What is known of a version once it has been read and compiled."""

    bundle: Bundle
    card: ModelCard | None
    changes: bool
    """Whether any signature changes what a later call sees."""
    precision: str
    compiled: dict[str, Compiled]
    reasons: dict[str, str]
    """Why OpenVINO does not run the other signatures."""


@dataclass(frozen=True, slots=True)
class PackedVersion:
    """The same without the graph, as things that pickle: what a Bundle says of the folder, then the rest."""

    folder: Path
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, bytes]
    plain: bool
    tags: frozenset[str]
    stamp: tuple[int, ...]
    card: ModelCard | None
    changes: bool
    precision: str
    compiled: Mapping[str, Packed]
    reasons: dict[str, str]


def tensorflow_may(options: RuntimeOptions) -> bool:
    """Whether TensorFlow is there for what OpenVINO cannot run."""
    return options.runtime != "openvino" and machine.installed("tensorflow")


def read(folder: Path, options: RuntimeOptions, *, at_once: bool = False) -> CompiledVersion:
    """Read, verify and compile the version in a folder.

    Args:
        folder: of the version.
        options: of the server.
        at_once: compile also what only a busy model needs, instead of when it first needs it.

    Raises:
        NotFound: no SavedModel there, or none with the wanted tags.
        DataLoss: a file is damaged, or is not the one that the version's card names.
        CardError: the card cannot be read, or has other labels than the graph has probabilities.
    """
    bundle = saved_model.read(folder, options.tags)
    card = repository.read_card(folder)
    if card is not None:
        repository.verify(folder, card)
        _hold_labels(card, bundle.signatures)
    operations = {name: graph.operations(bundle, one) for name, one in bundle.signatures.items()}
    changes = any(map(graph.writes_state, operations.values()))
    version = CompiledVersion(bundle, card, changes, "f32", {}, {})
    if why_none := _without_openvino(options, changes):
        version.reasons = dict.fromkeys(bundle.signatures, why_none)
    else:
        version.precision = settled_precision(options.precision, card, imitate=options.imitate)
        _compile(version, operations, options, at_once)
    return version


def _compile(
    version: CompiledVersion, operations: Mapping[str, set[str]], options: RuntimeOptions, at_once: bool
) -> None:
    """Compile every signature that converts, and remember why the others do not; `operations` are those of each.

    A card vouches that each row is answered by itself: the rows of a request may be computed apart.
    """
    bundle, precision = version.bundle, version.precision
    forms = openvino_quantized.forms(bundle) if precision == "int8" else ()
    for name, signature in bundle.signatures.items():
        if graph.loops(operations[name]) and tensorflow_may(options):
            version.reasons[name] = "It loops, and OpenVINO cannot end a run that takes too long"
            continue
        read = openvino_quantized.converted if name in forms else openvino_conversion.convert
        needed = operations[name]
        rows = own_rows(needed, signature) if version.card is not None else ()
        now = len(rows) if at_once else 1
        try:
            version.compiled[name] = openvino_compiled.compiled(
                bundle, signature, settings(options, precision, needed), read, rows[:now], rows[now:]
            )
        except NotConvertible as error:
            version.reasons[name] = f"OpenVINO cannot run it: {error}"
        except DataLoss as error:
            if not tensorflow_may(options):
                raise
            version.reasons[name] = error.message


def _hold_labels(card: ModelCard, signatures: Mapping[str, Signature]) -> None:
    """Refuse a card whose labels cannot be those of the graph's probabilities, as far as their shape is stated."""
    signature = signatures.get(card.signatures.get("default", DEFAULT_SIGNATURE))
    spec = signature.outputs.get("probabilities") if signature is not None else None
    if spec is None or spec.shape is None or not card.labels:
        return
    if len(spec.shape) != 2 or spec.shape[1] not in (-1, len(card.labels)):
        raise CardError(
            f"the card names {len(card.labels)} labels, and the graph's probabilities have the shape "
            f"{list(spec.shape)}: export or import this version again with the labels that it was trained on"
        )


def _without_openvino(options: RuntimeOptions, changes: bool) -> str:
    """Why OpenVINO is not to be asked at all; empty if it is."""
    if options.runtime == "tensorflow":
        return "The TensorFlow runtime was asked for"
    if not machine.installed("openvino"):
        return "OpenVINO is not installed here either (pip install -r requirements/openvino.txt)"
    return "Its signatures share variables that change" if changes and tensorflow_may(options) else ""


def packed(version: CompiledVersion) -> PackedVersion | None:
    """Without the graph; None where it is needed to run the version."""
    programs = {name: openvino_compiled.packed(compiled) for name, compiled in version.compiled.items()}
    whole = {name: program for name, program in programs.items() if program is not None}
    if len(whole) < len(programs):
        return None
    bundle = version.bundle
    return PackedVersion(
        folder=bundle.folder,
        signatures=bundle.signatures,
        signature_defs={name: stored.SerializeToString() for name, stored in bundle.signature_defs.items()},
        plain=bundle.plain,
        tags=bundle.tags,
        stamp=bundle.stamp,
        card=version.card,
        changes=version.changes,
        precision=version.precision,
        compiled=whole,
        reasons=version.reasons,
    )


def unpacked(package: PackedVersion) -> CompiledVersion:
    """As `read` gave it in the other process; raises RuntimeError where OpenVINO does not take the programs."""
    bundle = Bundle(
        folder=package.folder,
        meta_graph=MetaGraphDef(),
        signatures=package.signatures,
        signature_defs={name: SignatureDef.FromString(stored) for name, stored in package.signature_defs.items()},
        plain=package.plain,
        tags=package.tags,
        stamp=package.stamp,
    )
    compiled = {name: openvino_compiled.unpacked(one, bundle) for name, one in package.compiled.items()}
    return CompiledVersion(bundle, package.card, package.changes, package.precision, compiled, package.reasons)
