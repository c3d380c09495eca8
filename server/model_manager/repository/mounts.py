"""Recognise a models folder that Kubernetes will never update, so that the server can say so when it starts."""

import os
import re
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")


def subpath_warning(folder: Path, mountinfo: str | None = None) -> str | None:
    """Say what is wrong when the folder is, or holds, a subPath mount of a ConfigMap; None when nothing is.

    `mountinfo` is the text of /proc/self/mountinfo, read here when it is not given.
    """
    if os.path.lexists(folder / "..data"):  # a whole ConfigMap volume, which does update
        return None
    if mountinfo is None:
        mountinfo = _own_mountinfo()
    real = Path(os.path.realpath(folder))
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        root, mount_point = _unescape(fields[3]), Path(_unescape(fields[4]))
        if _is_one_generation(root) and (mount_point == real or real in mount_point.parents):
            return (
                f"{mount_point} is a subPath mount of a ConfigMap: Kubernetes never updates it, so new versions will "
                f"not arrive; mount the whole ConfigMap at {folder}, without subPath"
            )
    return None


def _is_one_generation(root: str) -> bool:
    # A subPath mount binds a file or folder inside one `..<timestamp>` generation of the volume, and stays bound to it
    # after the volume has moved on. Some runtimes show the kubelet's own staging folder instead.
    parts = root.split("/")
    return "volume-subpaths" in parts or any(part.startswith("..") for part in parts)


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def _own_mountinfo() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux, no mounts to warn of
        return ""
