"""Copies of models that workers of one server share: each version lies in memory once, not once a worker.

In the flow: loader → **here** → proving.read, in the worker that is the first to load a version; the others are given
what it made of it, by the template process (copies_kept.py).

Why copies, and not what lies inherited in a template: a version that arrives later must be shared as well, and workers
that had to be forked anew for it would drop their connections with every change. Why not the artifact itself, mapped:
an artifact is compressed, or of another format, or exchanged on its disk by whoever likes. A copy is in memory, sealed
by the kernel against everybody, made of bytes whose digest was checked, and gone with the last worker that holds it.
Each worker maps it privately: whoever writes to its arrays, as few estimators do, writes to pages of its own.
"""

import hashlib
import logging
import os
import socket
import sys
import weakref
from typing import BinaryIO, Final

from model_manager.inference.estimator_copy import NotWorthCopying, copy_of, mapped
from model_manager.inference.estimator_files import LoadedEstimator
from model_manager.repository.metadata import Metadata, parse_metadata
from model_manager.serving.proving import Reading, read

logger = logging.getLogger(__name__)

ASK: Final = b"a"
DROP: Final = b"d"
"""What a worker says of a key: it wants the copy, and sends a socket to be answered on; or it has let go of it."""
KEY: Final = 32
FRAME: Final = 1 + KEY
MAKE: Final = b"m"
COPY: Final = b"c"
NONE: Final = b"n"
"""The answers: make it; here it is; nobody has one."""
MADE: Final = b"+"
"""What one says that was told to make it, with the copy; or NONE."""

_WAIT_S: Final = 60.0
_LEAST_ARTIFACT: Final = 1 << 16
_FORMATS: Final = ("joblib", "skops")


class SharedCopies:
    """One worker's line to who keeps the copies. Used from several threads."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def read(self, artifact: BinaryIO, reading: Reading, digest: str | None) -> tuple[LoadedEstimator, Metadata]:
        """Read an artifact whose digest was checked, or map what another worker has read of it.

        What is no larger shared than not, or cannot be copied, is read like any. Raises as `proving.read`; nothing that
        goes wrong with the copy is raised.
        """
        if not digest or reading.format not in _FORMATS or os.fstat(artifact.fileno()).st_size < _LEAST_ARTIFACT:
            return read(artifact, reading)
        key = hashlib.sha256(f"{reading.format} {digest}".encode()).digest()
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(_WAIT_S)
            with theirs:
                if not self._say(ASK + key, theirs.fileno()):
                    return read(artifact, reading)
            said, fds = _answer(ours)
            if said == COPY and fds:
                metadata = parse_metadata(reading.metadata) if reading.metadata is not None else Metadata()
                loaded = self._mapped(fds[0], key)
                return (loaded, metadata) if loaded is not None else read(artifact, reading)
            loaded, metadata = read(artifact, reading)
            if said != MAKE:
                return loaded, metadata
            return self._made(loaded, key, ours), metadata

    def _made(self, loaded: LoadedEstimator, key: bytes, line: socket.socket) -> LoadedEstimator:
        """Copy what was read, hand it over, and give what it is when it is mapped; as it was, where that fails."""
        try:
            copy = copy_of(loaded)
        except NotWorthCopying as reason:
            logger.debug("not shared with other workers: %s", reason)
            _tell(line, NONE)
            return loaded
        if not _tell(line, MADE, copy):
            os.close(copy)
            return loaded
        return self._mapped(copy, key) or loaded

    def _mapped(self, copy: int, key: bytes) -> LoadedEstimator | None:
        """Map a copy, and say so to who keeps it when that is let go of. None, and it is let go of, where it fails."""
        try:
            loaded, memory = mapped(copy)
        except Exception:  # model code ran; what it cannot do with a copy it does with the artifact
            logger.warning("a copy cannot be used, the artifact is read", exc_info=sys.exc_info())
            self._say(DROP + key)
            return None
        finally:
            os.close(copy)
        weakref.finalize(memory, self._say, DROP + key).atexit = False
        return loaded

    def _say(self, frame: bytes, *fds: int) -> bool:
        """Send a frame, which arrives whole: also from where the collector runs. Whether anybody is there."""
        return _tell(self._line, frame, *fds)


def _tell(line: socket.socket, said: bytes, *fds: int) -> bool:
    try:
        socket.send_fds(line, [said], fds)
    except OSError:  # the template was killed, or waits no longer
        return False
    return True


def _answer(line: socket.socket) -> tuple[bytes, list[int]]:
    try:
        said, fds, _, _ = socket.recv_fds(line, 1, 1)
    except OSError:  # the time is over
        return b"", []
    return said, fds
