"""Replace a file whole, or leave it as it was: whoever watches, whatever crashes, whoever else writes."""

import os
import stat
import uuid
from pathlib import Path

from model_manager.errors import ChangeRefused


def replace_file(path: Path, content: bytes, *, before: bytes | None) -> None:
    """Write a file beside, flush it to disk and rename it; mode and links to it stay.

    `before` is what was read of it, None where it was not there. Raises ChangeRefused where it holds something else
    now, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f"..{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            mode = stat.S_IMODE(target.stat().st_mode) if before is not None else 0o644
            with open(beside, "xb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if _content(target) != before:
                raise ChangeRefused(f"{path} was changed by somebody else meanwhile; nothing was written, run it again")
            beside.rename(target)
            _flush_folder(target.parent)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ChangeRefused(f"{path} cannot be written: {error.strerror}") from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
