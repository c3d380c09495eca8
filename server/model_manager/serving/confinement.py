"""What keeps a child that runs a model's code from harming others: limits, a session of its own, nothing within reach.

Called in the child, between its fork and the function that it runs. Linux only, like all that forks here.
"""

import ctypes
import faulthandler
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

QUICK_NICENESS: Final = 5
"""Of a child from its start: it takes what the server leaves, which on an idle machine is everything."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_CHILD_SUBREAPER: Final = 36
_SYS_LANDLOCK_CREATE_RULESET: Final = 444  # the same on every architecture
_SYS_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_SCOPE_SIGNAL: Final = 2

_libc = ctypes.CDLL(None, use_errno=True)


class Limits(msgspec.Struct, frozen=True):
    """What a child may take: bytes of memory beyond those it begins with, seconds of CPU, bytes of a file it writes.

    No limit of memory, or of CPU time, where it is None. `niceness` is what it has from its start.
    """

    memory_bytes: int | None
    cpu_s: int | None
    file_bytes: int
    niceness: int = QUICK_NICENESS


def confine(limits: Limits, *, parent: int, keep: Iterable[int], output: int) -> None:
    """Make this process a child that can be killed whole and harms nobody; `output` becomes its stdout and stderr.

    It dies with `parent`. Of the files that were open it has those in `keep`. Raises OSError.
    """
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above
    _leave_open(keep, output)
    default_signals()
    _limit(limits)
    os.nice(limits.niceness)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # who runs out of memory first
    _signal_nobody_outside()
    faulthandler.disable()  # the server's, whose handlers are gone: it would not be enabled again
    faulthandler.enable(2)


def adopt_orphans() -> None:
    """Become the parent of whatever is orphaned below this process, so that nothing gets away."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def default_signals() -> None:
    """Let signals do what they do by default, and none be held back."""
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        with suppress(OSError, ValueError):  # a few belong to the C library
            signal.signal(signum, signal.SIG_DFL)
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # an error of the call instead, as in any Python program
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _leave_open(keep: Iterable[int], output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    first = 3
    for kept in sorted(keep):
        os.closerange(first, kept)
        os.set_inheritable(kept, False)
        first = kept + 1
    os.closerange(first, 1 << 20)


def _limit(limits: Limits) -> None:
    wanted = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (limits.file_bytes, limits.file_bytes),
    }
    if limits.cpu_s is not None:
        # told by SIGXCPU first, which it may ignore, then killed
        wanted[resource.RLIMIT_CPU] = (limits.cpu_s, limits.cpu_s + 5)
    if limits.memory_bytes is not None:
        bytes = limits.memory_bytes + _private_bytes()
        wanted[resource.RLIMIT_DATA] = (bytes, bytes)
    for kind, (soft, hard) in wanted.items():
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def _private_bytes() -> int:
    """What counts towards RLIMIT_DATA already."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")), 0)


def _signal_nobody_outside() -> None:
    """Have the kernel refuse signals to any process but this one and those it starts, where it can (Linux 6.12)."""
    attributes = struct.pack("QQQ", 0, 0, _LANDLOCK_SCOPE_SIGNAL)
    rules = _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        _libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)
