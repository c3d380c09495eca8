"""A file of data → which data it was: its digest, and where its version control has it (git, DVC).

In the flow: packing writes it down, so that years later the same bytes can be found, or be known to be lost.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from model_manager.errors import TableRefused
from model_manager.repository.metadata import DataInfo

_GIT: Final = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C")
"""Git without what it does beside: it only tells, and starts nothing that a configuration names."""
_PATIENCE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where version control has a file as it is now; `notes` say why it is not told, where that can be mended."""

    git_commit: str | None = None
    git_path: str | None = None
    dvc_md5: str | None = None
    notes: tuple[str, ...] = ()


def describe_file(
    path: Path, *, sha256: str, rows: int, columns: int, target: str | None = None, version: str | None = None
) -> tuple[DataInfo, tuple[str, ...]]:
    """Describe a file of training data, and say what its version control does not know.

    `sha256` is the digest of the bytes that were learned from. Raises TableRefused for a file that is gone meanwhile.
    """
    try:
        found = lineage_of(path)
    except OSError as error:
        raise TableRefused(f"{path}: it cannot be read again: {error.strerror}") from error
    info = DataInfo(
        uri=path.resolve().as_uri(),
        sha256=sha256,
        rows=rows,
        columns=columns,
        version=version,
        git_commit=found.git_commit,
        git_path=found.git_path,
        dvc_md5=found.dvc_md5,
        target=target,
    )
    return info, found.notes


def lineage_of(path: Path) -> Lineage:
    """Ask DVC's file beside a file, and git, where its bytes are kept; both only say what holds for the file as it is.

    Without git, outside of a repository, or for what git ignores, nothing is known and nothing is said.
    """
    pointer = path.with_name(f"{path.name}.dvc")
    recorded = _md5_of(pointer, path.name)
    if recorded is not None:
        with open(path, "rb") as file:
            same = hashlib.file_digest(file, "md5").hexdigest() == recorded
        if not same:
            told = f"{path.name} is not what {pointer.name} says (dvc add brings it up); its version is not recorded"
            return Lineage(notes=(told,))
        commit, place, _ = _committed(pointer)
        return Lineage(commit, place, recorded)
    commit, place, changed = _committed(path)
    if changed:
        told = f"{path.name} has changes that are not committed to git; its version is not recorded"
        return Lineage(notes=(told,))
    return Lineage(commit, place)


def _md5_of(pointer: Path, name: str) -> str | None:
    """The MD5 that a .dvc file records for a file; None where there is none, as for other kinds of hashes."""
    try:
        said: Any = yaml.safe_load(pointer.read_text(encoding="utf-8"))
        return next(str(out["md5"]) for out in said["outs"] if out["path"] == name and "md5" in out)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError, StopIteration):
        return None


def _committed(path: Path) -> tuple[str | None, str | None, bool]:
    """The commit that last changed a file, its path in the repository, and whether it has changed since."""
    folder, name = path.resolve().parent, path.resolve().name
    place = _git(folder, "ls-files", "--full-name", "-z", "--error-unmatch", "--", f":(literal){name}")
    if place is None:
        return None, None, False
    commit = _git(folder, "log", "-1", "--format=%H", "--", f":(literal){name}")
    if not commit or _git(folder, "diff", "--quiet", "--no-ext-diff", "HEAD", "--", f":(literal){name}") is None:
        return None, None, True
    return commit, place.rstrip("\0"), False


def _git(folder: Path, *arguments: str) -> str | None:
    """Ask git; None where it says no, or is not there."""
    try:
        done = subprocess.run(
            [*_GIT, str(folder), *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", errors="replace").strip() if done.returncode == 0 else None
