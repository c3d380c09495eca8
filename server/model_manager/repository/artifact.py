"""Open a wanted version's artifact, and let nobody read from it before its digest is the right one.

Place in the flow: the loader unpickles from the file this returns. The digest is taken through the same open file, so
there is no moment between the check and the use in which a path could come to mean other bytes.
"""

import os
import stat
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, TypeAlias

from model_manager.errors import LoadFailed
from model_manager.repository.digests import sha256_of
from model_manager.repository.location import scheme_of, without_credentials
from model_manager.repository.packages import READABLE
from model_manager.repository.wanted import WantedVersion

_MOST_NAMES: Final = 5

Opener: TypeAlias = Callable[[str], BinaryIO]
"""Opens one location for reading, as a seekable binary file. Raises LoadFailed or OSError."""


def open_local(path: str) -> BinaryIO:
    """Open a file by its path.

    Raises LoadFailed("unreadable") when it is no regular file, OSError when the operating system refuses.
    """
    # Asked before opening: opening a pipe would wait for its writer for ever.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise LoadFailed("unreadable", f"{path} is not a file")
    return open(path, "rb")


FILE_ONLY: Mapping[str, Opener] = MappingProxyType({"file": open_local})


def open_artifact(wanted: WantedVersion, openers: Mapping[str, Opener] = FILE_ONLY) -> BinaryIO:
    """Open the artifact at its first byte, its digest compared; the caller closes it.

    Blocking. Raises LoadFailed with the reason missing, unreadable, unsupported_scheme or digest_mismatch.
    """
    place = without_credentials(wanted.location)
    scheme = scheme_of(wanted.location) or "file"
    opener = openers.get(scheme)
    if opener is None:
        known = ", ".join(sorted(openers))
        raise LoadFailed("unsupported_scheme", f"{place}: cannot fetch {scheme}:// (this server can: {known})")
    try:
        file = opener(wanted.location)
        try:
            _check_digest(wanted, sha256_of(file))
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except (FileNotFoundError, NotADirectoryError):
        raise LoadFailed("missing", f"{place}: there is no such file; {_found_instead(wanted.location)}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise LoadFailed("unreadable", f"{place}: cannot be read: {reason}") from error
    return file


def _found_instead(location: str) -> str:
    """Say what lies where an artifact should, and what to do."""
    folder, wanted = os.path.split(location)
    try:
        names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".") and not name.endswith(".json")]
    except OSError:
        names = []
    if not names:
        return "check `artifact`, or copy it there"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    found = ", ".join(names[:_MOST_NAMES]) + more
    if any(name.lower().endswith(READABLE) for name in names):
        return f"found {found}: check `artifact`, or name the right one {wanted}"
    return f"found {found}: write the model with joblib.dump, as {wanted}"


def _check_digest(wanted: WantedVersion, found: str) -> None:
    place = without_credentials(wanted.location)
    if wanted.sha256 is not None and found != wanted.sha256:
        raise LoadFailed(
            "digest_mismatch",
            f"{place}: sha256 {wanted.sha256[:12]}… was declared, the file has {found[:12]}…; "
            "publish the file that was declared, or declare this one's digest (sha256sum prints it)",
        )
    if found != wanted.digest:
        raise LoadFailed("digest_mismatch", f"{place}: changed while being read, will be read again")
