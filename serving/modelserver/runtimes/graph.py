"""What a signature reaches in its graph, and a copy of a SavedModel that holds one signature alone.

OpenVINO reads only `serving_default`, wants every fed tensor to be a Placeholder, and loses aliases
that clash: for all but the plainest signature it is given a copy from here. Frameworks are not known here.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, Signature, TensorSpec
from serving.modelserver.runtimes.saved_model import Bundle
from serving.wire.protos import GraphDef, SavedModel

_WRITES = re.compile(
    r"Assign|Resource(Sparse)?Apply|(Sparse)?Apply|ResourceScatter|Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)"
    r"|LookupTable(Insert|Import|Remove)|Stack(Push|Pop)|Queue(Enqueue|Dequeue)|(Map|OrderedMap)?(Stage|Unstage)|Barrier"
)
"""Operations that change something which outlives the call begin so."""

_LOOPS = re.compile(r"\w*While$|For$|(Ref)?NextIteration$")
"""Operations that repeat others; the last closes the loops of TensorFlow 1."""

_WAITS = re.compile("Dequeue|Unstage|Peek|Take(Many|Gradient)|MutexLock|GetNext|ReduceDataset|ReaderRead")
"""Operations that wait for others, or read what need not end, have this in their names."""

_SHAPES = ("Shape", "ShapeN", "Size", "Rank")

_OUTPUT = "slipway_output_"


@dataclass(frozen=True, slots=True)
class Alone:
    """A signature as it is handed to OpenVINO: the alias there of each input and output here."""

    saved_model: bytes | None
    """Contents of a `saved_model.pb`; None where the version's own file serves."""
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def alone(bundle: Bundle, signature: Signature) -> Alone | None:
    """The signature by itself, under aliases that cannot clash; None if a fed tensor cannot be cut free."""
    if _plain_enough(bundle, signature):
        return Alone(None, {alias: alias for alias in signature.inputs}, {alias: alias for alias in signature.outputs})
    if not all(_is_first_output(spec) for spec in signature.inputs.values()):
        return None
    inputs = {alias: f"slipway_input_{place}" for place, alias in enumerate(signature.inputs)}
    outputs = _output_names(bundle, signature, inputs)
    copy = SavedModel(saved_model_schema_version=1)
    graph = copy.meta_graphs.add()
    graph.CopyFrom(bundle.meta_graph)
    graph.meta_info_def.tags[:] = ["serve"]
    stored = bundle.signature_defs[signature.name]
    graph.signature_def.clear()
    renamed = graph.signature_def[DEFAULT_SIGNATURE]
    for alias, name in inputs.items():
        renamed.inputs[name].CopyFrom(stored.inputs[alias])
    for place, alias in enumerate(stored.outputs):
        name = outputs[alias] if outputs[alias].startswith(_OUTPUT) else f"slipway_echo_{place}"
        renamed.outputs[name].CopyFrom(stored.outputs[alias])
    _cut(graph.graph_def, signature.inputs.values())
    return Alone(copy.SerializeToString(), inputs, outputs)


def _plain_enough(bundle: Bundle, signature: Signature) -> bool:
    """Whether the version's own file is read rightly: no clash, no tensor twice, Placeholders alone are fed."""
    tensors = [spec.name for spec in signature.outputs.values()]
    fed = {spec.name.partition(":")[0] for spec in signature.inputs.values()}
    free = {node.name for node in bundle.meta_graph.graph_def.node if node.op == "Placeholder"}
    return (
        bundle.plain
        and signature.name == DEFAULT_SIGNATURE
        and not signature.inputs.keys() & signature.outputs.keys()
        and len(set(tensors)) == len(tensors)
        and fed <= free
    )


def _output_names(bundle: Bundle, signature: Signature, inputs: Mapping[str, str]) -> dict[str, str]:
    """One name for each tensor that comes out; an input that is only passed on goes by the name it came in with."""
    nodes = {node.name: node for node in bundle.meta_graph.graph_def.node}
    fed = {_full(spec.name): inputs[alias] for alias, spec in signature.inputs.items()}
    sources = {alias: _source(nodes, spec.name, fed) for alias, spec in signature.outputs.items()}
    distinct = sorted(set(sources.values()))
    return {alias: fed.get(source, f"{_OUTPUT}{distinct.index(source)}") for alias, source in sources.items()}


def _source(nodes: Mapping[str, Any], tensor: str, fed: Collection[str]) -> str:
    """The tensor that another is the same as, back through Identity operations, but not past what is fed."""
    name = _full(tensor)
    while name not in fed and (node := nodes.get(name.partition(":")[0])) and node.op == "Identity" and node.input:
        name = _full(node.input[0])
    return name


def _full(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"


def _is_first_output(spec: TensorSpec) -> bool:
    return spec.name.partition(":")[2] in ("", "0") and spec.name != ""


def _cut(graph: GraphDef, specs: Iterable[TensorSpec]) -> None:
    """Make every fed node a Placeholder of its type and shape, whatever computed it."""
    fed = {spec.name.partition(":")[0]: spec for spec in specs}
    for node in graph.node:
        if (spec := fed.get(node.name)) and node.op != "Placeholder":
            node.op = "Placeholder"
            del node.input[:]
            node.attr.clear()
            node.attr["dtype"].type = spec.data_type
            _set_shape(node.attr["shape"].shape, spec.shape)


def _set_shape(proto: Any, shape: tuple[int, ...] | None) -> None:
    proto.SetInParent()
    proto.unknown_rank = shape is None
    for size in shape or ():
        proto.dim.add(size=size)


def operations(bundle: Bundle, signature: Signature) -> set[str]:
    """Names of all operations that the outputs need, those inside called functions too."""
    return {node.op for scope in _scopes(bundle, signature) for node in scope.values()}


def checks_values(bundle: Bundle, signature: Signature) -> bool:
    """Whether some operation is there to fail on certain values of the inputs; checks of shapes do not count."""
    return any(
        node.op.startswith("CheckNumerics") or (node.op == "Assert" and _of_values(node.input[0], scope))
        for scope in _scopes(bundle, signature)
        for node in scope.values()
    )


def _of_values(tensor: str, scope: Mapping[str, Any]) -> bool:
    """Whether a tensor is computed from what is fed or handed to its function, other than from shapes."""
    waiting, seen = [tensor], set[str]()
    while waiting:
        name = waiting.pop().partition(":")[0]
        if name in seen or name.startswith("^"):
            continue
        seen.add(name)
        if name not in scope:
            return True
        if scope[name].op not in _SHAPES:
            waiting.extend(scope[name].input)
    return False


def _scopes(bundle: Bundle, signature: Signature) -> Iterator[Mapping[str, Any]]:
    """Nodes by name: those of the graph that the outputs need, none that is fed; then those of each called function."""
    graph = bundle.meta_graph.graph_def
    own = _needed({node.name: node for node in graph.node}, signature)
    yield own
    functions = {function.signature.name: function for function in graph.library.function}
    waiting, seen = [name for node in own.values() for name in _calls(node)], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in functions:
            seen.add(name)
            yield {node.name: node for node in functions[name].node_def}
            waiting.extend(called for node in functions[name].node_def for called in _calls(node))


def _needed(nodes: Mapping[str, Any], signature: Signature) -> Mapping[str, Any]:
    fed = {spec.name.partition(":")[0] for spec in signature.inputs.values()}
    waiting, found = [spec.name for spec in signature.outputs.values()], dict[str, Any]()
    while waiting:
        name = waiting.pop().lstrip("^").partition(":")[0]
        if name in nodes and name not in found and name not in fed:
            found[name] = nodes[name]
            waiting.extend(nodes[name].input)
    return found


def _calls(node: Any) -> Iterator[str]:
    """Functions that a node names, and its own operation, which may be a function as well."""
    yield node.op
    for value in node.attr.values():
        if value.WhichOneof("value") == "func":
            yield value.func.name
        elif value.WhichOneof("value") == "list":
            yield from (function.name for function in value.list.func)


def loops(names: set[str]) -> bool:
    """Whether any of these operations repeats others, as often as a request may say."""
    return any(map(_LOOPS.match, names))


def all_operations(graph: Any) -> set[str]:
    """Names of the operations of a whole GraphDef and its functions."""
    inside = (node for function in graph.library.function for node in function.node_def)
    return {node.op for node in (*graph.node, *inside)}


def may_go_on(names: set[str]) -> bool:
    """Whether a run of these operations may be without end."""
    return loops(names) or any(map(_WAITS.search, names))


def writes_state(names: set[str]) -> bool:
    """Whether any of these operations changes something that a later call sees."""
    return any(_WRITES.match(name) for name in names)
