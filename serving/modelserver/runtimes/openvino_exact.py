"""What OpenVINO's CPU plugin would compute otherwise than TensorFlow, found in a converted model before it runs.

The plugin computes integers of 8 and 16 bits without wrapping them around, those of 64 bits in 32, and
many operations on integers of 32 bits in float32, which holds 24. Only integers that are computed from
the values of the inputs matter: shapes, positions and counts are small. Each set below was measured
with random and extreme values; tests/modelserver/runtimes/test_exact.py holds the plugin to it.
"""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

_MOVES = re.compile(
    "Result|Reshape|Squeeze|Unsqueeze|Transpose|Concat|Split|VariadicSplit|Slice|StridedSlice|Gather|GatherND"
    "|GatherElements|Broadcast|Tile|Pad|Roll|Select|OneHot|ScatterUpdate|ScatterElementsUpdate|ShapeOf|NonZero|Convert"
    "|Range|Interpolate|DepthToSpace|SpaceToDepth|BatchToSpace|SpaceToBatch|Loop|TensorIterator|If"
)
"""Pass numbers on as they are, or take them for sizes; what loops and branches hold is looked at by itself."""
_ORDERS = re.compile("Maximum|Minimum|TopK|Sign|Bitwise(And|Or|Xor|RightShift)")
"""Exact for integers of any width."""
_WRAPS = re.compile(
    "Add|Subtract|Multiply|Negative|Abs|SquaredDifference|CumSum|ReduceProd|BitwiseNot|BitwiseLeftShift|EmbeddingSegmentsSum"
    "|ScatterNDUpdate"
)
"""Exact for integers of 32 bits with a sign, which wrap around as TensorFlow's do."""
_IN_FLOATS = re.compile("Relu|ReduceMax|ReduceMin|FloorMod|ReverseSequence")
"""Computed in float32, which is exact up to 16 bits."""
_COMPARES = re.compile("Equal|NotEqual|Less|LessEqual|Greater|GreaterEqual")
"""In float32 too: the outcome is right if one side is a number that no other is rounded to."""
_COUNTS = re.compile("ShapeOf|NonZero|OneHot")
"""Whatever integers these take, those they give are small."""

_BITS = {"i8": 8, "u8": 8, "i16": 16, "u16": 16, "i32": 32, "u32": 64, "i64": 64, "u64": 64}
"""Bits that an integer takes; the plugin has no unsigned ones of 32, they would take more."""
_HELD = 1 << 24
"""Integers up to this are all in float32."""


def refusal(model: Any) -> str:
    """Why a converted model must not be run on the CPU plugin; empty if it may."""
    inputs = frozenset(range(len(model.get_parameters())))
    return _Flow(model, inputs, inputs).refusal()


class _Flow:
    """What is computed from the values of the inputs, in a model or the body of a loop or branch."""

    def __init__(self, model: Any, values: Set[int], integers: Set[int]) -> None:
        """Follow what comes in by the parameters at these places: any values, and integers among them."""
        self._nodes = model.get_ordered_ops()
        places = {node.get_name(): place for place, node in enumerate(model.get_parameters())}
        self._values = {name for name, place in places.items() if place in values}
        self._integers = {(name, 0) for name, place in places.items() if place in integers}
        for node in self._nodes:
            if node.get_type_name() not in ("Parameter", "ShapeOf") and any(map(self._has_values, node.input_values())):
                self._values.add(node.get_name())
                self._integers.update((node.get_name(), place) for place in self._whole_outputs(node))

    def refusal(self) -> str:
        """See above."""
        computes, chooses, pointers = False, False, self._pointers()
        for node in self._nodes:
            kind, types = node.get_type_name(), self._whole_inputs(node)
            if kind == "Unique" and node.get_name() in self._values and node.output(0).get_target_inputs():
                return "Unique gives other values"
            for body, values, integers in self._bodies(node):
                if found := _Flow(body, values, integers).refusal():
                    return found
            if node.get_name() in pointers:
                continue
            if kind == "Convert" and self._is_cut(node):
                return f"Convert to {_type(node.output(0))} would be cut to 32 bits with a sign"
            if not types:
                continue
            if not self._exact(node, max(_BITS[name] for name in types)):
                return f"{kind} of {'/'.join(sorted(set(types)))} would not be exact"
            chooses = chooses or kind == "Select"
            computes = computes or bool(_WRAPS.fullmatch(kind) or _ORDERS.fullmatch(kind))
        return "integers that are computed and chosen from would pass through float32" if computes and chooses else ""

    def _exact(self, node: Any, bits: int) -> bool:
        kind = node.get_type_name()
        if kind == "Convert" and node.get_element_type().get_type_name() == "boolean":
            return bits <= 16
        if _COMPARES.fullmatch(kind):
            return bits <= 16 or self._compares_small(node)
        if kind == "ScatterNDUpdate" and node.get_attributes().get("reduction", "none").lower() == "none":
            return True
        known = [_MOVES, _ORDERS, *([_WRAPS] if bits == 32 else []), *([_IN_FLOATS] if bits <= 16 else [])]
        return any(names.fullmatch(kind) for names in known)

    def _is_cut(self, node: Any) -> bool:
        """Whether a Convert makes integers that 32 bits with a sign may not hold."""
        source, made = node.input_value(0), _type(node.output(0))
        wider = _is_float(source) or (made[0] == "u" and _type(source)[0] == "i")
        return self._has_values(source) and _BITS.get(made) == 64 and wider

    def _compares_small(self, node: Any) -> bool:
        """Whether one side is a size, or a constant that float32 tells from its neighbors."""
        left, right = node.input_values()
        if self._is_whole(left) and self._is_whole(right):
            return False
        other = (right if self._is_whole(left) else left).get_node()
        if other.get_type_name() != "Constant":
            return True
        upwards = node.get_type_name() in ("Less", "GreaterEqual") and self._is_whole(left)
        numbers = other.get_data().astype(float)
        return bool(((numbers > -_HELD) & (numbers < _HELD + upwards)).all())

    def _has_values(self, port: Any) -> bool:
        return port.get_node().get_name() in self._values

    def _is_whole(self, port: Any) -> bool:
        return (port.get_node().get_name(), port.get_index()) in self._integers and _type(port) in _BITS

    def _whole_inputs(self, node: Any) -> list[str]:
        return [_type(port) for port in node.input_values() if self._is_whole(port)]

    def _whole_outputs(self, node: Any) -> Iterator[int]:
        """Places of the outputs that hold integers from the values of the inputs."""
        kind, source = node.get_type_name(), node.input_value(0)
        if kind == "Convert":
            comes = self._is_whole(source) or _is_float(source)
        else:
            comes = not _COUNTS.fullmatch(kind) and bool(self._whole_inputs(node))
        places = range(1) if kind in ("TopK", "Unique") else range(node.get_output_size())
        return (place for place in places if comes and _type(node.output(place)) in _BITS)

    def _pointers(self) -> set[str]:
        """Nodes whose integers only point into tables, all of whose rows float32 can number.

        A Gather wraps negative positions around with Less, Add and Select, in float32 or not.
        """
        found = set[str]()
        for node in reversed(self._nodes):
            targets = [target for output in node.outputs() for target in output.get_target_inputs()]
            if targets and all(_points(target) or target.get_node().get_name() in found for target in targets):
                kind = node.get_type_name()
                if kind == "Add" or _MOVES.fullmatch(kind) or _COMPARES.fullmatch(kind):
                    found.add(node.get_name())
        return found

    def _bodies(self, node: Any) -> Iterator[tuple[Any, Set[int], Set[int]]]:
        """The graphs inside a loop or branch, with what comes into them as `__init__` takes it."""
        kind = node.get_type_name()
        bodies: Mapping[str, list[tuple[int, ...]]] = {"If": [(0,), (1,)], "Loop": [()], "TensorIterator": [()]}
        for args in bodies.get(kind, []):
            given = [
                (one.body_parameter_index, node.input_value(one.input_index))
                for one in node.get_input_descriptions(*args)
            ]
            values = {place for place, port in given if self._has_values(port)}
            yield node.get_function(*args), values, {place for place, port in given if self._is_whole(port)}


def _type(port: Any) -> str:
    name: str = port.get_element_type().get_type_name()
    return name


def _is_float(port: Any) -> bool:
    return _type(port).startswith(("f", "bf"))


def _points(target: Any) -> bool:
    """Whether this input of a node is a position in a table."""
    node = target.get_node()
    if not (target.get_index() == 1 and node.get_type_name().startswith("Gather")):
        return False
    sizes = node.input_value(0).get_partial_shape()
    return bool(sizes.rank.is_static) and all(size.is_static and size.get_length() <= _HELD + 1 for size in sizes)
