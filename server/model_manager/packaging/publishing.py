"""The files of a package → a version in a repository, whole or not at all, whoever watches and whatever crashes."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from model_manager.errors import PackageRefused
from model_manager.repository.wanted import NAME_PATTERN


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
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
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
    return folder


def _flush_folder(folder: Path) -> None:
    """Make names durable: without it a power cut may keep a file and lose its folder's entry."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
