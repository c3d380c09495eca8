"""Estimator ⇄ a copy of it that processes share: its arrays in a sealed file in memory, and a pickle that points there.

In the flow: serving/shared_copies → **here**. The pickle is of protocol 5, whose buffers lie outside of it, one after
the other, in the order in which they are asked for; an estimator that is unpickled beside a mapping of the file has
arrays that are slices of it. What is no array (objects, dicts, strings) is each process's own, and so are the nodes of
scikit-learn's trees, which they copy into memory of their own.
"""

import fcntl
import io
import mmap
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
from sklearn.tree._tree import Tree

from model_manager.inference.estimator_files import LoadedEstimator, load_estimator

_LEAST_BUFFER: Final = 1 << 10
_LEAST_SHARED: Final = 1 << 18
_ALIGNED: Final = 64  # as numpy allocates where vector instructions read
_LENGTH: Final = 8


class NotWorthCopying(Exception):
    """A copy would save nothing, or cannot be made; the text says why."""


class _Header(msgspec.Struct):
    """What lies before the pickle: of how many bytes that is and each buffer, and what else was found on reading."""

    pickle: int
    buffers: list[int]
    library_warning: str | None


def copy_of(loaded: LoadedEstimator) -> int:
    """Copy an estimator into a file in memory that nobody can write to; its descriptor, which is the caller's.

    Raises NotWorthCopying: too little of it is arrays, it does not pickle, or there is no memory for it.
    """
    if not hasattr(os, "memfd_create") or loaded.declared is not None:
        raise NotWorthCopying("it cannot be copied here")
    apart: list[memoryview] = []

    def within(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LEAST_BUFFER or _is_of_a_tree(memoryview(buffer).obj):
            return True
        apart.append(raw)
        return False

    try:
        pickled = pickle.dumps(loaded.estimator, protocol=5, buffer_callback=within)
    except Exception as error:  # its own code ran
        raise NotWorthCopying(f"it does not pickle: {type(error).__name__}") from error
    if (size := sum(one.nbytes for one in apart)) < _LEAST_SHARED:
        raise NotWorthCopying(f"{size} bytes of it are arrays")
    header = msgspec.msgpack.encode(_Header(len(pickled), [one.nbytes for one in apart], loaded.library_warning))
    copy = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(copy, "wb", closefd=False) as file:
            for part in (len(header).to_bytes(_LENGTH, "big"), header, pickled):
                file.write(part)
            for one in apart:
                file.write(bytes(-file.tell() % _ALIGNED))
                file.write(one)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        os.close(copy)
        raise NotWorthCopying(f"no copy of {size} bytes: {error.strerror}") from error
    return copy


def mapped(copy: int) -> tuple[LoadedEstimator, mmap.mmap]:
    """Make the estimator of a copy, and the mapping of which its arrays are slices, which goes with the last of them.

    The mapping is private: what is written to an array is seen by this process alone. Raises LoadFailed as
    load_estimator does, and OSError where there is no room for a mapping.
    """
    memory = mmap.mmap(copy, os.fstat(copy).st_size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    view = memoryview(memory)
    start = _LENGTH + int.from_bytes(view[:_LENGTH], "big")
    header = msgspec.msgpack.decode(view[_LENGTH:start], type=_Header)
    end = start + header.pickle
    buffers = (view[first:last] for first, last in _places(end, header.buffers))

    def unpickle(file: BinaryIO) -> Any:
        return pickle.load(file, buffers=buffers)

    loaded = load_estimator(io.BytesIO(view[start:end]), library_mismatch="warn", unpickle=unpickle)
    return replace(loaded, library_warning=header.library_warning, copied=True), memory


def _places(end: int, sizes: list[int]) -> Iterator[tuple[int, int]]:
    for size in sizes:
        start = end + -end % _ALIGNED
        end = start + size
        yield start, end


def _is_of_a_tree(array: Any) -> bool:
    """Whether an array is the memory of a tree, which is copied where the tree is unpickled."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, Tree)
