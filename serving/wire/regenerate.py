"""Write descriptors.binpb, the one file that protos.py makes every message class from.

Run it after a change in proto/ or a new tensorflow-serving-api:

    python -m serving.wire.regenerate

TensorFlow's descriptors are cut out of the generated modules of the installed packages as text, so
that TensorFlow itself is not imported (4 s, 500 MB) and nothing enters protobuf's default pool.
"""

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from serving.wire.proto_source import Source

SET = Path(__file__).with_name("descriptors.binpb")
OWN = Path(__file__).with_name("proto")

ROOTS = (
    "tensorflow_serving/apis/prediction_service.proto",
    "tensorflow_serving/apis/model_service.proto",
    "tensorflow_serving/apis/prediction_log.proto",
    "tensorflow_serving/config/model_server_config.proto",
    "tensorflow/core/example/example.proto",
    "tensorflow/core/protobuf/saved_model.proto",
    "grpc_health/v1/health.proto",
    "grpc_reflection/v1alpha/reflection.proto",
)
"""What is served or read; everything that these import comes along."""

_HOMES = {"xla/": "tensorflow/compiler/xla/"}
"""Where a package keeps files under another folder than the one in their names."""


def own_files() -> list[FileDescriptorProto]:
    """The descriptors of the files in proto/, in the order of their names."""
    return [Source(path.name, path.read_text()).read() for path in sorted(OWN.glob("*.proto"))]


def installed_file(name: str) -> FileDescriptorProto:
    """The descriptor of one .proto file, out of the module that protoc generated for it."""
    for start, home in _HOMES.items():
        if name.startswith(start):
            return installed_file(home + name.removeprefix(start))
    package, _, rest = name.partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{name} comes with a package that is not installed; run: make install")
    places = (Path(folder, rest.replace(".proto", "_pb2.py")) for folder in spec.submodule_search_locations)
    module = next(place for place in places if place.exists())
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr="AddSerializedFile"), args=[ast.Constant(value=bytes(content))]):
                return FileDescriptorProto.FromString(content)
    raise ValueError(f"{module} holds no serialized descriptor")


def descriptor_set() -> FileDescriptorSet:
    """Every file of ROOTS and proto/ with all that they import, dependencies first."""
    files: dict[str, FileDescriptorProto] = {}

    def add(file: FileDescriptorProto) -> None:
        for name in file.dependency:
            if name not in files:
                add(installed_file(name))
        files[file.name] = file

    for root in ROOTS:
        if root not in files:
            add(installed_file(root))
    for file in own_files():
        add(file)
    return FileDescriptorSet(file=files.values())


def main() -> None:
    """Write the set and say how large it is."""
    content = descriptor_set().SerializeToString(deterministic=True)
    SET.write_bytes(content)
    print(f"{SET.name}: {len(content)} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
