"""How much memory a child may take: what is left to the container, or to the machine."""

from contextlib import suppress
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")
_NO_LIMIT: Final = 1 << 60  # cgroup v1 has no word for none
_LEAST: Final = 64 << 20


def memory_left(cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> int | None:
    """Bytes that may still be taken before the kernel kills somebody, at least 64 MiB; None where nothing tells.

    Reads memory.max (cgroup v2) or memory.limit_in_bytes (v1), less what is used and cannot be reclaimed, and what the
    machine has available.
    """
    left = [bytes for bytes in (_of_cgroup(cgroup), _of_machine(meminfo)) if bytes is not None]
    return max(_LEAST, min(left)) if left else None


def _of_cgroup(cgroup: Path) -> int | None:
    for folder, most, used, reclaimable in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # not this version of cgroups, or "max"
            limit = int((folder / most).read_text())
            if limit >= _NO_LIMIT:
                return None
            pages = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return limit - int((folder / used).read_text()) + int(pages.get(reclaimable, 0))
    return None


def _of_machine(meminfo: Path) -> int | None:
    with suppress(OSError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
