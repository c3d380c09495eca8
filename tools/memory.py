"""How much memory a process holds, as Linux counts it."""

import os
from pathlib import Path


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB. Raises OSError where there is no /proc, or no such process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def proportional_mb(pid: int) -> float:
    """What a process and all that it started hold, in MB: what they share counts once. Raises OSError as resident_mb.

    A page that is shared with others yet counts by the share of it that is theirs (Pss of Linux).
    """
    return sum(_proportional_kb(process) for process in with_descendants(pid)) / 1e3


def _proportional_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1.024 for line in lines if line.startswith("Pss:"))


def with_descendants(pid: int) -> list[int]:
    """A process, and all that it started and that still runs. Raises OSError as resident_mb."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # one a thread
    children = [int(child) for children in lists for child in children.read_text(encoding="utf-8").split()]
    return [pid, *(found for child in children for found in with_descendants(child))]
