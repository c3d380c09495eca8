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

    Written beside, flushed to disk, renamed. Raises PackageRefused when the version appeared meanwhile, and for
    whatever keeps files from being written: no space, no permission.
    """
    folder = repository / name / version
    beside = folder.parent / f".tmp-{version}-{uuid.uuid4().hex[:8]}"
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
        _flush_folder(beside)
        beside.rename(folder)
        _flush_folder(folder.parent)
        _flush_folder(repository)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            why = "somebody else published this version meanwhile; choose another"
        else:
            why = f"{error.strerror}; nothing was published"
        raise PackageRefused(f"{folder} cannot be published: {why}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if held is not None:
            os.close(held)
    return folder


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


def _flush_folder(folder: Path) -> None:
    """Make names durable: without it a power cut may keep a file and lose its folder's entry."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
