"""A file that is there whole or not at all, whoever watches and whatever crashes; and what kept it from being written.

In the flow: the last step of every command that writes a file: a manifest, a report, rows, a signature.
"""

import errno
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

_MODE: Final = 0o644

_ADVICE: Final = {
    errno.ENOSPC: "make room there, and run the same command again",
    errno.EDQUOT: "make room there, and run the same command again",
    errno.EFBIG: "raise the limit of the shell (ulimit -f), and run the same command again",
    errno.EACCES: "write where you may, or ask for the right to",
    errno.EPERM: "write where you may, or ask for the right to",
    errno.EROFS: "write elsewhere: it is mounted to be read only",
}
"""What to do about what keeps files from being written."""


def write_whole(path: Path, content: bytes, *, just_before: Callable[[], None] = lambda: None) -> None:
    """Write a file beside, flush it to disk and rename it; the mode of one that is there, and links to it, stay.

    `just_before` is called when all is ready, and may raise; then nothing was written. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f"..{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(beside, "xb") as file:
            os.fchmod(file.fileno(), _mode_of(target))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        just_before()
        beside.rename(target)
        flush_folder(target.parent)
    finally:
        beside.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make names durable: without it a power cut may keep a file and lose its folder's entry. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def not_written(error: OSError) -> str:
    """Say why something could not be written, that nothing was, and what to do."""
    advice = _ADVICE.get(error.errno or 0)
    return f"{error.strerror or error}; nothing was written" + (f": {advice}" if advice else "")


def _mode_of(target: Path) -> int:
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return _MODE
