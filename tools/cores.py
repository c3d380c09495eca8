"""Which core does what: the server has one to itself, whoever asks has another, so that neither waits for the other."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the server and that of the generator; None where processes cannot be pinned. `note` says why."""

    server: int | None
    generator: int | None
    note: str


def choose_cores() -> Cores:
    """Pick two cores of those this process may use, on different physical cores where the machine has them."""
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        return Cores(None, None, "not pinned: this machine has no taskset (util-linux), figures are noisier")
    allowed = sorted(os.sched_getaffinity(0))
    server = allowed[-1]
    others = [core for core in allowed if core != server]
    if not others:
        return Cores(server, server, f"one core ({server}) for server and generator: each slows the other")
    apart = [core for core in others if core not in _siblings(server)]
    if not apart:
        return Cores(server, others[0], f"server on core {server}, generator on its hyper-thread {others[0]}")
    return Cores(server, apart[0], f"server on core {server}, generator on core {apart[0]}")


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """The command line that runs `command` on one core, with every thread it will start."""
    return list(command) if core is None else ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def staying_on(core: int | None) -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on one core for the body; a test that runs it has others."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _siblings(core: int) -> set[int]:
    """The hyper-threads of a core's physical core, from Linux' list such as "0,4" or "0-1"."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text(encoding="utf-8")
    except OSError:
        return {core}
    siblings: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        siblings.update(range(int(first), int(last or first) + 1))
    return siblings
