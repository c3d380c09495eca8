"""SHA-256 of files, remembered while a file stays the same. Used by source to compare content on every poll."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from model_manager.errors import LoadFailed
from model_manager.repository.regular_files import Files, Limit

_SETTLED_NS = 2_000_000_000

_FileKey = tuple[int, int, int, int, int]


def sha256_of(file: BinaryIO) -> str:
    """Digest an open file from where it stands to its end, as 64 hex digits; raises OSError when reading fails."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Look:
    """What is remembered of a file: since when it has been like this here, and its digest once that can be trusted."""

    since_ns: int
    digest: str | None


class Digests:
    """Digests by file identity, so that polling an unchanged folder costs one stat a file."""

    def __init__(self, limit: Limit, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._limit = limit
        self._now_ns = now_ns
        self._known: dict[_FileKey, _Look] = {}
        self._used: dict[_FileKey, _Look] = {}

    def of(self, path: str, files: Files) -> str | None:
        """Give the digest of the file's bytes, or None when it is not there, or may not or cannot be read."""
        try:
            found = files.stat(path, self._limit)
            look = self._known.get(_key(found))
            if look is None or look.digest is None:
                return self._read(path, files)
            self._used[_key(found)] = look
            return look.digest
        except (OSError, LoadFailed):  # loading says why
            return None

    def forget_unused(self) -> None:
        """Drop what was not asked for since the last call: files that were replaced or removed."""
        self._known, self._used = self._used, {}

    def _read(self, path: str, files: Files) -> str:
        with files.open(path, self._limit) as file:
            before = os.fstat(file.fileno())
            now = self._now_ns()
            digest = sha256_of(file)
            after = os.fstat(file.fileno())
        if _key(before) != _key(after):
            return digest
        # A file written to a moment ago may be written again within one tick of the file system's clock, at the same
        # size: its times would not tell. So a digest is remembered only once the file has been quiet for a while: by
        # its own times or, since those may lie in the future, by how long it has looked the same from here.
        known = self._known.get(_key(after))
        since = known.since_ns if known is not None else now
        settled = now - min(since, max(after.st_mtime_ns, after.st_ctime_ns)) > _SETTLED_NS
        self._known[_key(after)] = self._used[_key(after)] = _Look(since, digest if settled else None)
        return digest


def _key(of: os.stat_result) -> _FileKey:
    # Times alone are not enough (a ConfigMap mount's lie), the inode alone neither (they are reused).
    return (of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns)
