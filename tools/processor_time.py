"""How much processor time a process has used, as Linux counts it."""

from pathlib import Path

from tools.memory import with_descendants


def used_s(pid: int) -> float:
    """What the threads of a process, and of all that it started and that still runs, have used, in seconds.

    Raises OSError where there is no /proc, or no such process.
    """
    threads = (thread for process in with_descendants(pid) for thread in Path(f"/proc/{process}/task").iterdir())
    return sum(int((thread / "schedstat").read_text(encoding="utf-8").split()[0]) for thread in threads) / 1e9
