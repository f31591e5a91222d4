"""From one signature of a SavedModel to an OpenVINO model that computes the same, or the reason why not.

`on_openvino.py` compiles what comes out. OpenVINO is imported when the first version is loaded.
"""

import functools
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import DataLoss
from serving.modelserver.runtimes import graph
from serving.modelserver.runtimes.openvino_exact import refusal
from serving.modelserver.runtimes.openvino_program import Ports, reason
from serving.modelserver.runtimes.protocol import Signature
from serving.modelserver.runtimes.saved_model import Bundle
from serving.wire import dtypes

_TYPES: Mapping[str, int] = {
    "f32": dtypes.FLOAT,
    "f64": dtypes.DOUBLE,
    "f16": dtypes.HALF,
    "bf16": dtypes.BFLOAT16,
    "i8": dtypes.INT8,
    "i16": dtypes.INT16,
    "i32": dtypes.INT32,
    "i64": dtypes.INT64,
    "u8": dtypes.UINT8,
    "u16": dtypes.UINT16,
    "u32": dtypes.UINT32,
    "u64": dtypes.UINT64,
    "boolean": dtypes.BOOL,
}
"""OpenVINO's types and TensorFlow's numbers; strings and complex numbers have no kernels there."""

_WIDE = (dtypes.INT64, dtypes.UINT32, dtypes.UINT64)
"""The CPU computes these in 32 bits with a sign."""


class NotConvertible(Exception):
    """OpenVINO cannot run this signature, or not exactly; the text says why."""


_CONVERTER = "openvino.tools.ovc"


@functools.cache
def openvino() -> Any:
    """The package, imported on first use and without the converter for other frameworks' models.

    Nothing here calls that one, the package allows for its absence, and it takes 7 MB and 0.07 s of CPU.
    """
    modules: dict[str, Any] = sys.modules
    withheld = _CONVERTER not in modules
    if withheld:
        modules[_CONVERTER] = None
    try:
        import openvino
    finally:
        if withheld:
            del modules[_CONVERTER]
    return openvino


_ONE_AT_A_TIME = threading.Lock()


def core() -> Any:
    """One for the process, whoever comes first."""
    with _ONE_AT_A_TIME:
        return _core()


@functools.cache
def _core() -> Any:
    """Files are read, not mapped: a version that is overwritten must not take the process down."""
    made = openvino().Core()
    made.set_property({"ENABLE_MMAP": False})
    return made


@dataclass(frozen=True, slots=True)
class Converted:
    """A signature as an OpenVINO model."""

    model: Any
    ports: Ports
    narrowed: tuple[str, ...]
    """Inputs whose values must fit into 32 bits, because something is computed from them."""

    def declared(self) -> tuple[tuple[int, ...] | None, ...]:
        """Stated shape of each input in the signature's order; -1 varies, None is an unknown rank."""
        return tuple(_shape(self.model.inputs[place]) for place in self.ports.inputs)

    def reshape(self, model: Any, shapes: Sequence[Sequence[int]]) -> None:
        """Give a clone of the model these shapes, in the signature's order; -1 varies.

        Raises:
            RuntimeError: OpenVINO's account of where the graph cannot take them.
        """
        partial = openvino().PartialShape
        model.reshape({place: partial(list(shape)) for place, shape in zip(self.ports.inputs, shapes, strict=True)})


def _shape(port: Any) -> tuple[int, ...] | None:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return None
    return tuple(-1 if size.is_dynamic else size.get_length() for size in shape)


def convert(bundle: Bundle, signature: Signature) -> Converted:
    """Read the signature into OpenVINO.

    Raises:
        NotConvertible: operations, types or names that OpenVINO does not have.
        DataLoss: the version's files are damaged.
    """
    _only_known_types(signature)
    if graph.writes_state(graph.operations(bundle, signature)):
        raise NotConvertible("it changes variables or tables")
    if graph.checks_values(bundle, signature):
        raise NotConvertible("it checks values, and the checks would be lost")
    single = graph.alone(bundle, signature)
    if single is None:
        raise NotConvertible("it feeds a tensor that no placeholder can stand for")
    with _folder(bundle, single) as folder:
        model = read(folder)
    inputs = [place(model.inputs, name, signature.inputs[alias].data_type) for alias, name in single.inputs.items()]
    outputs = {
        alias: place(model.outputs, name, signature.outputs[alias].data_type) for alias, name in single.outputs.items()
    }
    if len(inputs) != len(model.inputs):
        raise NotConvertible("it needs inputs that the signature does not name")
    _only_exact(model, signature, inputs, outputs)
    return Converted(model, Ports(tuple(inputs), outputs), _narrowed(model, signature, inputs))


def _only_known_types(signature: Signature) -> None:
    for alias, spec in (*signature.inputs.items(), *signature.outputs.items()):
        if spec.data_type not in _TYPES.values():
            raise NotConvertible(f"{alias} is of type {dtypes.dtype_name(spec.data_type)}")


@contextmanager
def _folder(bundle: Bundle, single: graph.Alone) -> Iterator[Path]:
    """Where OpenVINO is to read: the version itself, or a passing copy of its graph beside its variables."""
    if single.saved_model is None:
        yield bundle.folder
        return
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-") as name:
            (Path(name) / "saved_model.pb").write_bytes(single.saved_model)
            for part in ("variables", "assets"):
                (Path(name) / part).symlink_to(bundle.folder.resolve() / part)
            yield Path(name)
    except OSError as error:
        raise NotConvertible(f"its graph cannot be copied aside: {error}") from error


def read(path: Path) -> Any:
    """A SavedModel's folder, or a file of OpenVINO's own.

    Raises:
        NotConvertible: operations that OpenVINO does not have.
        DataLoss: it cannot be read.
    """
    try:
        return core().read_model(path)
    except RuntimeError as error:
        if "OpConversionFailure" in str(error) or "undeclared parameters" in str(error):
            raise NotConvertible(reason(error)) from error
        what = "The SavedModel" if path.is_dir() else path.name
        raise DataLoss(f"{what} cannot be read; copy the whole version again: {reason(error)}") from error


def place(ports: Any, name: str, data_type: int) -> int:
    """Which of the ports goes by that name; raises NotConvertible where none does, or its type is another."""
    for number, port in enumerate(ports):
        if name in port.get_names():
            found = port.get_element_type().get_type_name()
            if _TYPES.get(found) != data_type:
                raise NotConvertible(f"{name} became {found}")
            return number
    raise NotConvertible(f"{name} is lost in conversion")


def _only_exact(model: Any, signature: Signature, inputs: list[int], outputs: Mapping[str, int]) -> None:
    """Refuse arithmetic in double precision, which the CPU would do in single, and integers that it would get wrong."""
    computed = [
        alias
        for place, (alias, spec) in zip(inputs, signature.inputs.items(), strict=True)
        if spec.data_type == dtypes.DOUBLE and not _only_echoed(model.inputs[place])
    ]
    for alias, place in outputs.items():
        source = model.outputs[place].get_node().input_value(0).get_node()
        if signature.outputs[alias].data_type == dtypes.DOUBLE and source.get_type_name() != "Parameter":
            computed.append(alias)
    if computed:
        raise NotConvertible(f"{', '.join(computed)}: double precision would be computed in single")
    if found := refusal(model):
        raise NotConvertible(found)


def _only_echoed(port: Any) -> bool:
    return all(target.get_node().get_type_name() == "Result" for target in port.get_target_inputs())


def _narrowed(model: Any, signature: Signature, inputs: list[int]) -> tuple[str, ...]:
    return tuple(
        alias
        for place, (alias, spec) in zip(inputs, signature.inputs.items(), strict=True)
        if spec.data_type in _WIDE and not _only_echoed(model.inputs[place])
    )
