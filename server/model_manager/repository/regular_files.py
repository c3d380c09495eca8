"""Open regular files below named folders, and nothing else: no pipe, no device, no path and no link that leads out.

Place in the flow: source reads models.yaml, metadata and digests through this, `open_artifact` the rest.

Whoever writes the models folder chooses the names in it, and where its links lead. So a path is resolved by the kernel
into a handle that can neither be read nor waited for (O_PATH); what the handle leads to is checked, and only then
opened, through the handle: what a path comes to mean in the meantime changes nothing.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Final, NamedTuple, NoReturn, TypeVar

from model_manager.errors import LoadFailed

_T = TypeVar("_T")

_HANDLE: Final = getattr(os, "O_PATH", 0) if os.path.isdir("/proc/self/fd") else 0
"""How a handle is opened; 0 where there are none, as on macOS."""
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0)
_KERNEL: Final = ("/proc", "/sys")
"""Whose regular files are the kernel's answers: some never end, some tell what the server was started with."""
_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Limit(NamedTuple):
    """The most bytes that a file may have, and what to do about one that has more."""

    bytes: int
    advice: str


@dataclass(frozen=True, slots=True)
class Files:
    """The files that may be opened: those of the models folder, and those below `roots`, both absolute paths.

    `owners`: the user ids that they may belong to; None: any. `writable`: whether their group or others may be allowed
    to write to them, or to the folder in which they lie. `real` are the same places without links, once resolved.
    """

    folder: str
    roots: tuple[str, ...] = ()
    owners: frozenset[int] | None = None
    writable: bool = True
    real: tuple[str, ...] = ()

    def open(self, path: str, limit: Limit) -> BinaryIO:
        """Open an absolute path for reading. Never waits for a writer.

        Raises LoadFailed "not_allowed", "unreadable" (no regular file) or "too_large" (by its size, nothing is read),
        and OSError when the operating system refuses.
        """
        return self._at(path, limit, lambda handle: open(path, "rb", opener=lambda *_: _open_again(handle)))

    def stat(self, path: str, limit: Limit) -> os.stat_result:
        """Look at what `open` would open, and raise what it would raise, but for being unreadable."""
        return self._at(path, limit, os.fstat)

    def read(self, path: str, limit: Limit) -> bytes:
        """Read a whole file. Raises as `open`; "too_large" as well for one that grows beyond the limit meanwhile."""
        with self.open(path, limit) as file:
            content = file.read(limit.bytes + 1)
        if len(content) > limit.bytes:
            _refuse_size(path, len(content), limit)
        return content

    def resolved(self) -> "Files":
        """The same, with the links of the places themselves followed now, and not for every file."""
        return replace(self, real=self._real_roots())

    def _at(self, path: str, limit: Limit, use: Callable[[int], _T]) -> _T:
        roots = self._real_roots()
        # By its name first: a network file system that hangs outside of the roots is not even asked.
        if not _is_below(os.path.normpath(path), (self.folder, *self.roots, *roots)):
            self._refuse_place(path, path)

        def check(real: str) -> None:
            if not _is_below(real, roots) or _is_below(real, _KERNEL):
                self._refuse_place(path, real)

        handle, real = (_resolve if _HANDLE else _resolve_by_name)(path, check)
        try:
            self._check(path, real, os.fstat(handle), limit)
            return use(handle)
        finally:
            os.close(handle)

    def _real_roots(self) -> tuple[str, ...]:
        # Not for good: the models folder may be a link that is turned from one release to the next.
        return self.real or tuple(os.path.realpath(root) for root in (self.folder, *self.roots))

    def _check(self, path: str, real: str, found: os.stat_result, limit: Limit) -> None:
        _refuse_irregular(path, found.st_mode)
        if found.st_size > limit.bytes:
            _refuse_size(path, found.st_size, limit)
        if self.owners is not None and found.st_uid not in self.owners:
            allowed = ", ".join(map(str, sorted(self.owners)))
            message = f"{path} belongs to user {found.st_uid}; files may belong to {allowed} here (--artifact-owners)"
            raise LoadFailed("not_allowed", message)
        if not self.writable:
            folder = os.path.dirname(real)
            for place, mode in ((path, found.st_mode), (folder, os.stat(folder).st_mode)):
                if mode & 0o022:
                    raise LoadFailed(
                        "not_allowed",
                        f"{place} may be written to by its group or by others (mode {stat.S_IMODE(mode):04o}), which "
                        "--refuse-writable forbids: chmod go-w",
                    )

    def _refuse_place(self, path: str, real: str) -> NoReturn:
        leads = f"{path} leads to {real}, which is" if real != path else f"{path} is"
        others = ", ".join(self.roots) or "none"
        if _is_below(real, _KERNEL):
            raise LoadFailed("not_allowed", f"{leads} no file of yours but an answer of the kernel")
        raise LoadFailed(
            "not_allowed",
            f"{leads} outside of the models folder {self.folder} and of --artifact-roots ({others}): put the file "
            "below one of them, or have the operator add its folder to --artifact-roots",
        )


def _resolve(path: str, check: Callable[[str], None]) -> tuple[int, str]:
    """Resolve a path into a handle that reads nothing, and the place without links that it stands for, checked."""
    handle = os.open(path, _HANDLE | os.O_CLOEXEC)
    try:
        real = os.readlink(f"/proc/self/fd/{handle}")
        if os.fstat(handle).st_nlink == 0:  # deleted since, and no longer at a place that could be judged
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        check(real)
    except BaseException:
        os.close(handle)
        raise
    return handle, real


def _resolve_by_name(path: str, check: Callable[[str], None]) -> tuple[int, str]:
    """The same without handles, by opening what `check` lets pass: what is no regular file is not opened.

    A folder above the file can be exchanged between the check and the opening; that is found out before reading.
    """
    real = os.path.realpath(path, strict=True)
    check(real)
    seen = os.lstat(real)
    _refuse_irregular(path, seen.st_mode)
    handle = os.open(real, _READ | os.O_NOFOLLOW)
    if not os.path.samestat(seen, os.fstat(handle)) or os.path.realpath(real) != real:
        os.close(handle)
        raise LoadFailed("unreadable", f"{path} was exchanged while it was opened, and will be read again")
    return handle, real


def _open_again(handle: int) -> int:
    """Open for reading what a handle stands for."""
    return os.open(f"/proc/self/fd/{handle}", _READ) if _HANDLE else os.dup(handle)


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    for folder in folders:
        if path.startswith(folder) and (path == folder or folder == "/" or path[len(folder)] == "/"):
            return True
    return False


def _refuse_irregular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise LoadFailed("unreadable", f"{path} is {kind}, not a file")


def _refuse_size(path: str, size: int, limit: Limit) -> NoReturn:
    message = f"{path} has {size:,} bytes or more, and at most {limit.bytes:,} are read of it: {limit.advice}"
    raise LoadFailed("too_large", message)
