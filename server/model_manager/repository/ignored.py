"""What lies in a repository and is no version of it, though it may be meant as one: named, so that nobody has to guess.

Place in the flow: from_folders asks for what it passes over, the log and the repository index tell of it. Names that
begin with a dot, and those of copies under way, are passed over in silence; so are folders that hold nothing.
"""

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from model_manager.repository.packages import ARTIFACT, METADATA, artifact_name, is_readable

_MOST_LOOKED_AT: Final = 20
_MOST_NAMED: Final = 3
_DEEPER: Final = 2
_COPYING: Final = re.compile(
    r".*(~|\.(tmp|temp|part|partial|filepart|download|crdownload|swp|bak|old|orig|lock)|_\.gstmp|\.[0-9a-f]{8})",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files that are being written, or were put aside, as rsync, rclone, aws, gsutil and editors give them."""
_PACKED: Final = (".gz", ".bz2", ".xz", ".lzma", ".z", ".zst", ".zip")
_BESIDE: Final = frozenset(
    (
        *(".bmp", ".cfg", ".conf", ".css", ".csv", ".db", ".dvc", ".gif", ".htm", ".html", ".ini", ".ipynb", ".jpeg"),
        *(".jpg", ".js", ".json", ".jsonl", ".log", ".md", ".parquet", ".pdf", ".pem", ".png", ".pub", ".py", ".rst"),
        *(".sh", ".sig", ".sql", ".svg", ".toml", ".tsv", ".txt", ".webp", ".xls", ".xlsx", ".yaml", ".yml"),
    )
)
"""What lies beside a model and is none, by the end of its name."""


def may_be_meant(name: str) -> bool:
    """Whether a file may be meant as an artifact: called as one, or as nothing else that lies beside one."""
    if name.startswith(".") or _COPYING.fullmatch(name) or name == METADATA:
        return False
    packed = name.lower().endswith(_PACKED)
    stem, suffix = os.path.splitext(os.path.splitext(name)[0] if packed else name)
    if is_readable(name) or (stem.lower() == "model" and suffix.lower() not in (".sig", ".md", ".html", ".yaml")):
        return True
    return suffix.lower() not in _BESIDE if suffix else packed


def files_meant(folder: str) -> list[str]:
    """Name the files directly in a folder that may be meant as artifacts."""
    return [name for name in _visible(folder) if may_be_meant(name) and os.path.isfile(os.path.join(folder, name))]


def why_no_version(folder: str) -> str | None:
    """Why a folder in the place of a version is none: an artifact under another name, or too deep; None: it is empty.

    The folder holds no artifact.
    """
    if found := files_meant(folder):
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        return (
            f"it holds {', '.join(found[:_MOST_NAMED])}{more}, which is not called as artifacts are: {_rename(found)}"
        )
    deep = next(_artifacts_below(folder, _DEEPER), None)
    if deep is not None:
        return f"{os.path.relpath(deep, folder)} lies too deep in it: a version lies at <model>/<version>/{ARTIFACT}"
    return None


def holds_artifact(folder: str) -> bool:
    """Whether an artifact, or what may be meant as one, lies in a folder or a little below."""
    return artifact_name(folder) is not None or bool(files_meant(folder)) or any(_artifacts_below(folder, _DEEPER))


def _rename(found: list[str]) -> str:
    return f"name it {ARTIFACT} if joblib or pickle wrote it" if len(found) == 1 else f"name the right one {ARTIFACT}"


def _artifacts_below(folder: str, levels: int) -> Iterator[str]:
    for name in islice(_visible(folder), _MOST_LOOKED_AT):
        below = os.path.join(folder, name)
        if not os.path.isdir(below):
            continue
        artifact = artifact_name(below)
        if artifact is not None:
            yield os.path.join(below, artifact)
        elif levels > 1:
            yield from _artifacts_below(below, levels - 1)


def _visible(folder: str) -> list[str]:
    """The names in a folder that are not hidden; none where it cannot be listed, since nothing depends on it."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
