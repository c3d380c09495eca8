"""How many CPUs this process may really use: a container's quota, not the node's cores."""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def allowed_cpus(cgroup: Path = _CGROUP) -> int:
    """Count the CPUs of this process: those it may run on, cut to its cgroup's quota rounded up; at least 1.

    Reads cpu.max (cgroup v2) or cpu.cfs_quota_us (v1); a limit that cannot be read is no limit.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """The quota in CPUs, if there is one."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit():  # "max", or -1
        return None
    return int(quota) / int(period)
