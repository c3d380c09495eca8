"""How much memory a process holds, as Linux counts it."""

import os
from pathlib import Path


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB. Raises OSError where there is no /proc, or no such process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
