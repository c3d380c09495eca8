"""The files of a package → a version in a repository, whole or not at all, whoever watches and whatever crashes."""

import errno
import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from model_manager.errors import PackageRefused
from model_manager.repository.wanted import NAME_PATTERN
from model_manager.repository.whole_files import flush_folder, not_written

_ABANDONED_S: Final = 60


def refuse_existing(repository: Path, name: str, version: str) -> None:
    """Raise PackageRefused when the version exists, or a name would not do as a folder, a URL and a label."""
    for what, value in (("model name", name), ("version", version)):
        if not re.fullmatch(NAME_PATTERN, value):
            raise PackageRefused(f"{what} {value!r} is not letters, digits, '-', '_' and (not first) '.'")
    folder = repository / name / version
    if folder.exists():
        raise PackageRefused(f"{folder} exists; a version is never overwritten, choose another")


def publish(repository: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """Write files as a version, and return its folder; a server that watches sees all of them or none.

    Raises PackageRefused when the version appeared meanwhile, and for whatever keeps files from being written: no
    space, no permission.
    """
    folder = repository / name / version
    try:
        write_folder(folder, files)
        flush_folder(repository)
    except FileExistsError as error:
        why = "somebody else published this version meanwhile; choose another"
        raise PackageRefused(f"{folder} cannot be published: {why}") from error
    except OSError as error:
        raise PackageRefused(f"{folder} cannot be published: {not_written(error)}") from error
    return folder


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder: beside it, flushed to disk, renamed.

    Raises FileExistsError where it appeared meanwhile, and OSError.
    """
    beside = folder.parent / f".tmp-{folder.name}-{uuid.uuid4().hex[:8]}"
    held = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(folder)
        beside.mkdir()
        held = _hold(beside)
        for file_name, content in files.items():
            with open(beside / file_name, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        flush_folder(beside)
        try:
            beside.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder)) from None
            raise
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if held is not None:
            os.close(held)


def _hold(folder: Path) -> int | None:
    """Lock a folder for as long as its descriptor is open; None where somebody has it, or no lock can be had."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear_abandoned(folder: Path) -> None:
    """Remove what publishers of this version left that were killed: what is not new, and held by nobody."""
    for left in folder.parent.glob(f".tmp-{folder.name}-{'[0-9a-f]' * 8}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S and (held := _hold(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(held)
