"""What children run in tests: functions that a nursery is told the names of."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from typing import Any


def prepare() -> None:
    """Nothing that all children would do again."""


def _say(line: socket.socket, value: Any) -> None:
    message = json.dumps(value).encode()
    line.sendall(len(message).to_bytes(4, "big") + message)


def describe(talk: int, *files: int) -> None:
    """Tell what this process is, and what the files hold that it was given."""
    with socket.socket(fileno=talk) as line:
        os.write(1, b"out ")
        os.write(2, b"and err")
        numbers = sorted(int(name) for name in os.listdir("/proc/self/fd"))
        still_open = [number for number in numbers if os.path.exists(f"/proc/self/fd/{number}")]
        with open("/proc/self/oom_score_adj") as score:
            told = {
                "files": [os.read(number, 100).decode() for number in files],
                "open": still_open,
                "talk": talk,
                "given": list(files),
                "session": os.getsid(0) == os.getpid() == os.getpgid(0),
                "stdin": sys.stdin.read(),
                "niceness": os.getpriority(os.PRIO_PROCESS, 0),
                "oom": int(score.read()),
                "core": resource.getrlimit(resource.RLIMIT_CORE),
                "cpu": resource.getrlimit(resource.RLIMIT_CPU),
                "file": resource.getrlimit(resource.RLIMIT_FSIZE),
                "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
            }
        _say(line, told)


def linger(talk: int) -> None:
    """Start a process in a session of its own, tell the numbers of both and of the parent, and stay."""
    with socket.socket(fileno=talk) as line:
        other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        _say(line, [os.getppid(), os.getpid(), other.pid])
        time.sleep(1000)


def take(talk: int) -> None:
    """Take a hundred MiB, and tell whether that is too much."""
    with socket.socket(fileno=talk) as line:
        try:
            bytearray(100 << 20)
        except MemoryError:
            _say(line, "too much")
        else:
            _say(line, "taken")


def raise_(talk: int) -> None:
    """Raise."""
    raise RuntimeError("a bug")
