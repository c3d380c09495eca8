"""Artifacts that were fetched, kept on disk by their digest: shared by workers, and by one start after the other.

Place in the flow: fetching looks here first, and puts here what it brought. A file `<digest>` is whole;
`<digest>.part` is as much of it as came so far; `<digest>.<place>.<name>` are the small files that lay beside it at one
place. No artifact is believed for lying here: its digest is taken again at every use.
"""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, get_ident
from typing import BinaryIO, Final

from model_manager.errors import LoadFailed
from model_manager.repository.digests import sha256_of

logger = logging.getLogger(__name__)

_LOCKS: Final = "locks"
_LOOK_S: Final = 0.05
_DIGEST_LENGTH: Final = 64


def default_folder() -> Path:
    """The user's own folder for this among temporary files, so that workers and the next start find the same.

    Where nothing can be written it is told when something is fetched: most servers need no such folder.
    """
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        temporary = "/tmp"
    return Path(temporary) / f"model-manager-cache-{os.getuid()}"


class Cache:
    """One folder, of so many bytes; more only while what is wanted alone is more. Used by any thread and process."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """The folder is made when it is first needed: most servers fetch nothing."""
        self._folder = folder
        self._limit = limit_bytes
        self.wanted: frozenset[str] = frozenset()
        """The digests that are never removed."""

    @contextmanager
    def holding(self, digest: str, stop: Event) -> Iterator[None]:
        """Be the only one, of all processes, that fetches this digest while the body runs; others wait.

        Raises LoadFailed "cache_unusable", and "unreachable" once `stop` is set.
        """
        try:
            locks = self._made() / _LOCKS
            locks.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(locks / digest, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self.unusable(error) from error
        try:
            while not _locked(lock):
                if stop.wait(_LOOK_S):
                    raise LoadFailed("unreachable", "it is no longer wanted")
            yield
        finally:
            os.close(lock)  # which unlocks; the file stays, since others may wait for it

    def find(self, digest: str) -> BinaryIO | None:
        """Open what is kept under a digest, if its bytes still have it; remove it if they do not."""
        try:
            file = open(self._folder / digest, "rb")  # noqa: SIM115  the caller closes it
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.unusable(error) from error
        try:
            # Hashed where it is fetched, and not only where it is opened: what rotted is fetched again.
            found = sha256_of(file)
            if found == digest:
                os.utime(file.fileno())  # used now: what has not been for the longest goes first
                file.seek(0)
                return file
        except OSError as error:
            file.close()
            raise self.unusable(error) from error
        file.close()
        logger.warning("the cache held other bytes than %s…, which were removed", digest[:12])
        self._remove(digest)
        return None

    def partial(self, digest: str) -> BinaryIO:
        """Open what has come of a digest so far, at its end, for more. Only while it is held."""
        path = self._folder / f"{digest}.part"
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b")
        except OSError as error:
            raise self.unusable(error) from error
        file.seek(0, os.SEEK_END)
        return file

    def finish(self, digest: str, partial: BinaryIO) -> bool:
        """Keep what has come as what the digest means, if it is: else drop it, and say False."""
        path = self._folder / f"{digest}.part"
        try:
            partial.flush()
            partial.seek(0)
            if sha256_of(partial) != digest:
                path.unlink()
                return False
            path.rename(self._folder / digest)
        except OSError as error:
            raise self.unusable(error) from error
        return True

    def drop_partial(self, digest: str) -> None:
        """Forget what has come of a digest."""
        (self._folder / f"{digest}.part").unlink(missing_ok=True)

    def make_room(self, more_bytes: int, digest: str) -> None:
        """Remove what was used the longest ago, until so many more bytes of this one fit; never what is wanted."""
        sizes = self._sizes()
        too_much = sum(size for _, size, _ in sizes) + more_bytes - self._limit
        for _, size, other in sorted(sizes):
            if too_much <= 0:
                return
            if other not in self.wanted and other != digest:
                self._remove(other)
                too_much -= size
        if too_much > 0:
            logger.warning("what is wanted takes %s bytes more than --cache-mb allows", f"{too_much:,}")

    def held_bytes(self) -> int:
        """How many bytes it holds."""
        return sum(size for _, size, _ in self._sizes())

    def beside(self, digest: str, place: str, name: str) -> bytes | None:
        """Give a small file that lay beside an artifact at one place: empty where there was none; None: not known."""
        try:
            return (self._folder / _beside(digest, place, name)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.unusable(error) from error

    def keep_beside(self, digest: str, place: str, name: str, content: bytes) -> None:
        """Keep a small file that lies beside an artifact at one place; empty: that there is none."""
        path = self._folder / _beside(digest, place, name)
        try:
            self._made()
            # Below the digest too, so that what a crash leaves goes with the rest of it.
            written = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}")
            written.write_bytes(content)
            written.replace(path)
        except OSError as error:
            raise self.unusable(error) from error

    def unusable(self, error: OSError) -> LoadFailed:
        """Say what the operating system said of this folder."""
        message = f"the cache {self._folder} cannot be used: {error.strerror or error}; see --cache and --cache-mb"
        return LoadFailed("cache_unusable", message)

    def _made(self) -> Path:
        """The folder, made if need be, and nobody else's: whoever owns it chooses what lies in it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(self._folder)
        if not stat.S_ISDIR(found.st_mode):
            raise LoadFailed("cache_unusable", f"the cache {self._folder} is no folder: give another one, --cache")
        if self._folder == default_folder() and (found.st_uid != os.getuid() or found.st_mode & 0o022):
            raise LoadFailed("cache_unusable", f"{self._folder} can be written to by others: name a folder, --cache")
        return self._folder

    def _sizes(self) -> list[tuple[int, int, str]]:
        """When each digest was used last, how many bytes it has here, and which it is."""
        found: dict[str, tuple[int, int]] = {}
        try:
            entries = list(os.scandir(self._folder))
        except OSError:
            return []
        for entry in entries:
            digest = entry.name[:_DIGEST_LENGTH]
            if len(digest) < _DIGEST_LENGTH or digest.startswith("."):
                continue
            with suppress(OSError):  # another process just removed it
                one = entry.stat(follow_symlinks=False)
                used, size = found.get(digest, (0, 0))
                found[digest] = (max(used, one.st_mtime_ns), size + one.st_size)
        return [(used, size, digest) for digest, (used, size) in found.items()]

    def _remove(self, digest: str) -> None:
        names: Iterable[str] = (name for name in os.listdir(self._folder) if name.startswith(digest))
        for name in names:
            (self._folder / name).unlink(missing_ok=True)


def _beside(digest: str, place: str, name: str) -> str:
    return f"{digest}.{sha256(place.encode()).hexdigest()[:16]}.{name}"


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
