"""The .proto files of the folder `proto` → message classes, when they are first needed and without generated code.

Generated code is bound to one major version of the protobuf library, which other packages of an environment pin too.
What is read here is the part of the language that those files use. Each has a pool of descriptors of its own, so that
clients of the same protocol, with classes of the same names, may live in this process.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TOKENS: Final = re.compile(r'"[^"]*"|[\w.]+|[^\s\w]')
_COMMENT: Final = re.compile(r"//[^\n]*")
_SCALARS: Final = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("double", "float", "int32", "int64", "uint32", "uint64", "bool", "string", "bytes")
}
_OPTIONAL: Final = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_REPEATED: Final = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED


class ProtoFile(NamedTuple):
    """One file: its name, its services by their full names, and its messages' classes by their own."""

    name: str
    serialized: bytes
    services: tuple[str, ...]
    symbols: frozenset[str]
    messages: dict[str, Any]


def read_proto(name: str, *, package: str | None = None) -> ProtoFile:
    """Read one file of the folder `proto`. `package`: another one for the same definitions."""
    text = files(__package__).joinpath("proto", name).read_text(encoding="utf-8")
    described = _Reader(text).file(name)
    if package is not None:
        described.package = package
        described.name = f"{package}.{name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    file = pool.FindFileByName(described.name)
    messages = {one: message_factory.GetMessageClass(kind) for one, kind in file.message_types_by_name.items()}
    services = tuple(service.full_name for service in file.services_by_name.values())
    names = [*messages, *(one.name for one in described.service)]
    methods = [f"{one.name}.{method.name}" for one in described.service for method in one.method]
    symbols = frozenset(f"{described.package}.{each}" for each in [*names, *methods])
    return ProtoFile(described.name, described.SerializeToString(), services, symbols, messages)


class _Reader:
    """Reads the words of a file one after the other."""

    def __init__(self, text: str) -> None:
        self._words: Iterator[str] = iter(_TOKENS.findall(_COMMENT.sub("", text)))

    def file(self, name: str) -> Any:
        described = descriptor_pb2.FileDescriptorProto(name=name)
        for word in self._words:
            if word == "syntax":
                described.syntax = self._until(";")[1].strip('"')
            elif word == "package":
                described.package = self._until(";")[0]
            elif word == "message":
                self._message(described.message_type.add())
            else:
                self._service(described.service.add())
        return described

    def _until(self, end: str) -> list[str]:
        return list(iter(self._words.__next__, end))

    def _message(self, described: Any) -> None:
        (described.name,) = self._until("{")
        while (word := next(self._words)) != "}":
            if word == "message":
                self._message(described.nested_type.add())
            elif word == "enum":
                self._enum(described.enum_type.add())
            elif word == "oneof":
                (name,) = self._until("{")
                described.oneof_decl.add(name=name)
                while (word := next(self._words)) != "}":
                    field = self._field([word, *self._until(";")], described)
                    field.oneof_index = len(described.oneof_decl) - 1
            else:
                self._field([word, *self._until(";")], described)

    def _field(self, words: list[str], message: Any) -> Any:
        *kind, name, _, number = words
        field = message.field.add(name=name, number=int(number), label=_OPTIONAL)
        if kind[0] == "map":
            _, _, key, _, value, _ = kind
            entry = message.nested_type.add(name="".join(map(str.capitalize, name.split("_"))) + "Entry")
            entry.options.map_entry = True
            self._field([key, "key", "=", "1"], entry)
            self._field([value, "value", "=", "2"], entry)
            kind = ["repeated", entry.name]
        if kind[0] == "repeated":
            field.label = _REPEATED
        if kind[-1] in _SCALARS:
            field.type = _SCALARS[kind[-1]]
        else:
            field.type_name = kind[-1]
        return field

    def _enum(self, described: Any) -> None:
        (described.name,) = self._until("{")
        while (name := next(self._words)) != "}":
            described.value.add(name=name, number=int(self._until(";")[-1]))

    def _service(self, described: Any) -> None:
        (described.name,) = self._until("{")
        while next(self._words) != "}":
            words = self._until(";")
            asked, answered = words[2 : words.index("returns") - 1], words[words.index("returns") + 2 : -1]
            described.method.add(
                name=words[0],
                input_type=asked[-1],
                output_type=answered[-1],
                client_streaming=asked[0] == "stream",
                server_streaming=answered[0] == "stream",
            )
