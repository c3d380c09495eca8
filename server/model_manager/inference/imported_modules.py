"""Bytes of an artifact → the modules that reading it imports, found without running anything of it.

In the flow: packing asks here before it reads an artifact, so that what is missing is named, all of it at once.
"""

import bz2
import gzip
import io
import json
import lzma
import math
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, Literal

import numpy as np

_COMPRESSED: Final[tuple[tuple[bytes, Callable[[bytes], bytes]], ...]] = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZ", bz2.decompress),
    (b"\xfd7zXZ", lzma.decompress),
    (b"\x5d\x00", lzma.decompress),
    (b"x", zlib.decompress),
)
"""How the files begin that joblib.dump compresses, and who unpacks them."""


def imported_modules(artifact: bytes, format: Literal["joblib", "skops", "onnx"]) -> frozenset[str]:
    """Name every module whose classes or functions an artifact asks for; those up to there if it is damaged."""
    if format == "onnx":
        return frozenset({"onnxruntime"})
    found: set[str] = set()
    try:
        if format == "skops":
            found.add("skops.io")
            with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
                found.update(_modules_of(json.loads(archive.read("schema.json"))))
        else:
            _Walker(io.BytesIO(_unpacked(artifact)), found).load()
    except Exception:  # reading it will say what is wrong with it
        pass
    return frozenset(found)


def _unpacked(artifact: bytes) -> bytes:
    unpack = next((unpack for start, unpack in _COMPRESSED if artifact.startswith(start)), None)
    return unpack(artifact) if unpack is not None else artifact


def _modules_of(node: Any) -> Iterator[str]:
    """The modules that the nodes of a skops schema name: an object's own, and that of a function within one."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from (part[key] for key in ("__module__", "module_path") if isinstance(part.get(key), str))
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


class _Anything:
    """Stands for whatever a pickle makes: takes all that is done to it, and does nothing."""

    def __new__(cls: Any, *arguments: object, **options: object) -> "_Anything":
        made: _Anything = object.__new__(cls if isinstance(cls, type) else _Anything)
        return made

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __call__(self, *arguments: object, **options: object) -> "_Anything":
        return _Anything()

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    append = extend = add = __setstate__


class _Array(_Anything):
    """Where joblib writes an array: this describes the bytes that follow, between two instructions of the pickle."""

    def __setstate__(self, state: Any) -> None:
        self.described = state


_Unpickler: Any = pickle._Unpickler  # type: ignore[attr-defined,unused-ignore]  # the one that is written in Python


class _Walker(_Unpickler):  # type: ignore[misc]
    """Follows the instructions of a pickle, and makes nothing but numbers, texts and collections of them."""

    dispatch: ClassVar = dict(_Unpickler.dispatch)

    def __init__(self, file: io.BytesIO, found: set[str]) -> None:
        super().__init__(file, encoding="latin-1")
        self._bytes, self._found = file, found

    def find_class(self, module: str, name: str) -> Any:
        """Note the module; dtypes are real ones, since they tell how long an array is."""
        self._found.add(module)
        if module == "numpy" and name == "dtype":
            return np.dtype
        return _Array if name == "NumpyArrayWrapper" else _Anything

    def load_build(self) -> None:
        """Go on behind the bytes of an array, which are no instructions."""
        super().load_build()
        if isinstance(self.stack[-1], _Array):
            self._skip(self.stack[-1].described)

    dispatch[pickle.BUILD[0]] = load_build

    def _skip(self, described: dict[str, Any]) -> None:
        dtype = described["dtype"]
        if dtype.hasobject:
            _Walker(self._bytes, self._found).load()
            return
        padding = 0
        if described.get("numpy_array_alignment_bytes") is not None:
            padding = self._bytes.read(1)[0]
        self._bytes.seek(padding + math.prod(described["shape"]) * dtype.itemsize, io.SEEK_CUR)
