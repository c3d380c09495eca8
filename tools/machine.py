"""What a figure depends on besides the code: the machine, the versions, the commit."""

import datetime
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from model_manager.version import DISTRIBUTION

from tools.processes import ROOT

_THREADS = ("OPENBLAS_", "OMP_", "MKL_")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel, load, and the variables that change how native libraries compute."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(_THREADS)},
    }


def describe_versions() -> dict[str, str]:
    """Python, and every library that the server depends on."""
    versions = {"python": platform.python_version()}
    for requirement in requires(DISTRIBUTION) or []:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        if match is None:
            continue
        try:
            versions[match[0]] = version(match[0])
        except PackageNotFoundError:  # meant for another platform, or an extra that is not installed
            continue
    return versions


def describe_commit() -> dict[str, Any]:
    """The commit, and whether files differ from it."""
    return {"commit": _git("rev-parse", "HEAD"), "changed_files": len(_git("status", "--porcelain").splitlines())}


def now() -> str:
    """The date and time of this moment, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # a copy of the source without its history
        return ""


def cpu_model() -> str:
    """What the processor calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
