"""Read the plain part of the proto3 language that the files in proto/ are written in.

regenerate.py is the only caller; nothing here runs while serving. It saves a compiler among the
dependencies: messages, nested messages, repeated, map and oneof fields, and unary services are all
that we declare ourselves. Anything else is refused by name, never guessed at.
"""

import re
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

_TOKEN = re.compile(r"//[^\n]*|\s+|\"[^\"]*\"|[\w.]+|[{}()<>=;,]")
_SCALARS = {kind.removeprefix("TYPE_").lower(): number for kind, number in FieldDescriptorProto.Type.items()}
for _word in ("group", "message", "enum"):
    del _SCALARS[_word]


class Source:
    """The words of one file, read from the left."""

    def __init__(self, name: str, text: str) -> None:
        self.file = FileDescriptorProto(name=name, syntax="proto3")
        self._words = list(_words(name, text))
        self._at = 0

    def read(self) -> FileDescriptorProto:
        """The whole file as a descriptor, its type names resolved."""
        while self._at < len(self._words):
            match self._next():
                case "syntax":
                    self._expect("=", '"proto3"', ";")
                case "package":
                    self.file.package = self._until(";")
                case "import":
                    self.file.dependency.append(self._until(";").strip('"'))
                case "message":
                    self._message(self.file.message_type.add())
                case "service":
                    self._service()
                case word:
                    raise ValueError(f"{self.file.name}: '{word}' is not read here")
        _resolve(self.file)
        return self.file

    def _message(self, message: DescriptorProto) -> None:
        message.name = self._until("{")
        while (word := self._next()) != "}":
            match word:
                case "message":
                    self._message(message.nested_type.add())
                case "oneof":
                    message.oneof_decl.add(name=self._until("{"))
                    while (kind := self._next()) != "}":
                        self._field(message, kind).oneof_index = len(message.oneof_decl) - 1
                case "map":
                    self._map(message)
                case "repeated":
                    self._field(message, self._next()).label = FieldDescriptorProto.LABEL_REPEATED
                case kind:
                    self._field(message, kind)

    def _field(self, message: DescriptorProto, kind: str) -> FieldDescriptorProto:
        field = message.field.add(name=self._until("="), number=int(self._until(";")))
        field.label = FieldDescriptorProto.LABEL_OPTIONAL
        _give_type(field, kind)
        return field

    def _map(self, message: DescriptorProto) -> None:
        self._expect("<")
        key, value = self._until(","), self._until(">")
        name = self._words[self._at]
        entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        for number, (word, kind) in enumerate((("key", key), ("value", value)), start=1):
            part = entry.field.add(name=word, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            _give_type(part, kind)
        self._field(message, entry.name).label = FieldDescriptorProto.LABEL_REPEATED

    def _service(self) -> None:
        service = self.file.service.add(name=self._until("{"))
        while self._next() == "rpc":
            name, asked = self._until("("), self._until(")")
            self._expect("returns", "(")
            service.method.add(name=name, input_type=asked, output_type=self._until(")")).options.SetInParent()
            self._expect("{", "}")

    def _next(self) -> str:
        self._at += 1
        return self._words[self._at - 1]

    def _until(self, end: str) -> str:
        word = self._next()
        self._expect(end)
        return word

    def _expect(self, *words: str) -> None:
        for word in words:
            if (found := self._next()) != word:
                raise ValueError(f"{self.file.name}: '{word}' expected, '{found}' found")


def _words(name: str, text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"{name}: '{text[at]}' is not read here")
        at = found.end()
        if not found[0].isspace() and not found[0].startswith("//"):
            yield found[0]


def _give_type(field: FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, kind


def _resolve(file: FileDescriptorProto) -> None:
    """Turn type names as written into full ones: the innermost message that declares one wins."""
    known: dict[str, DescriptorProto] = {}

    def declare(scope: str, messages: list[DescriptorProto]) -> None:
        for message in messages:
            known[f"{scope}.{message.name}"] = message
            declare(f"{scope}.{message.name}", list(message.nested_type))

    def full(scope: str, name: str) -> str:
        while scope:
            if f"{scope}.{name}" in known:
                return f"{scope}.{name}"
            scope = scope.rpartition(".")[0]
        return f".{name}"  # imported, written in full

    declare(f".{file.package}", list(file.message_type))
    for scope, message in known.items():
        for field in message.field:
            if field.type_name:
                field.type_name = full(scope, field.type_name)
    for service in file.service:
        for method in service.method:
            method.input_type = full(f".{file.package}", method.input_type)
            method.output_type = full(f".{file.package}", method.output_type)
