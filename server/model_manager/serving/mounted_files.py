"""Small files that an operator mounts and changes while the server runs: keys, tokens, certificates.

In the flow: a Secret's mount → **read**, in one generation → whoever uses it; **follow** reads it again when it
changes.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from model_manager.errors import ConfigurationError, MountUnusable
from model_manager.repository.generation import Generation
from model_manager.serving.folder_changes import changes

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_BYTES: Final = 1 << 20
"""As much as a Secret can hold."""
_TRIES: Final = 3


def read_file(path: Path) -> bytes:
    """Read one regular file. Blocking. Raises MountUnusable, naming it and never quoting it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a pipe would wait for its writer
    except OSError as error:
        raise MountUnusable(f"{path}: cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise MountUnusable(f"{path}: is not a file")
        if status.st_size > _MOST_BYTES:
            raise MountUnusable(f"{path}: larger than {_MOST_BYTES} bytes")
        with os.fdopen(os.dup(file), "rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MountUnusable(f"{path}: cannot be read: {error.strerror}") from None
    finally:
        os.close(file)
    return text


def read_folder(path: Path) -> dict[str, bytes]:
    """Read a file, or every file of a folder that is not hidden, by name; of a mounted Secret one generation of it.

    Blocking. Raises MountUnusable.
    """
    if not path.is_dir():
        return {path.name: read_file(path)}
    for tried in range(_TRIES):
        folder = Path(Generation.of(str(path)).real)
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
            return {name: read_file(folder / name) for name in names}
        except OSError as error:
            problem = MountUnusable(f"{path}: cannot be read: {error.strerror}")
        except MountUnusable as error:
            problem = error
        if tried + 1 == _TRIES or folder.is_dir():
            raise problem
    raise AssertionError("the last try returns or raises")


async def follow(path: Path, read: Callable[[], T], use: Callable[[T], None], *, poll_interval_s: float) -> None:
    """Read again whenever the folder that holds `path` changes, on a thread, and `use` what was read, on the loop.

    What cannot be used is logged once, and what was read before stays in force. Ends by cancellation only.
    """
    problem = ""
    folder = await asyncio.to_thread(lambda: path if path.is_dir() else path.parent)
    async for _ in changes(folder, poll_interval_s=poll_interval_s):
        before = problem
        try:
            use(await asyncio.to_thread(read))
            problem = ""
        except ConfigurationError as error:
            problem = str(error)
        if problem and problem != before:
            logger.error("what was read before stays in force: %s", problem)
        elif before and not problem:
            logger.info("%s can be used again", path)
