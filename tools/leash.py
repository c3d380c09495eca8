"""Whatever a program starts ends with it, however it ends: by its last line, an exception, SIGKILL or os._exit.

What is started carries a token in its environment, and so does all that it starts in turn. A watcher, in a session of
its own, waits at a pipe for the program's end; then it kills every process that carries the token, and runs what it was
told to run. Processes are found in /proc: on other systems than Linux nothing is found, and nothing is ended.
"""

import atexit
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

TOKENS = "LEASH"
"""The variable that holds the tokens, separated by spaces: those of a program, of what started that, and so on."""
_PAUSE_S = 0.01
_PATIENCE_S = 10.0  # for what the kernel does not let go

_watcher: "subprocess.Popen[bytes] | None" = None


def hold() -> None:
    """Put all that this program starts from now on on the leash. A second call changes nothing."""
    global _watcher
    if _watcher is not None:
        return
    token = new_token()
    environment = {name: value for name, value in os.environ.items() if name != TOKENS}
    command = [sys.executable, "-I", "-S", __file__, token]
    _watcher = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    os.environ[TOKENS] = with_token(token)
    atexit.register(_let_go, _watcher)


def run_at_the_end(command: Sequence[str]) -> None:
    """Have a command run once this program has ended, for what processes do not carry a token. Its output is dropped.

    It must do no harm when there is nothing left to do.
    """
    hold()
    assert _watcher is not None
    assert _watcher.stdin is not None
    _watcher.stdin.write(json.dumps(list(command)).encode() + b"\n")
    _watcher.stdin.flush()


def new_token() -> str:
    """A token that nothing carries yet."""
    return secrets.token_hex(8)


def with_token(token: str) -> str:
    """The value of TOKENS for what carries one more token than this program gives to all it starts."""
    return f"{os.environ.get(TOKENS, '')} {token}".strip()


def carriers(token: str) -> list[int]:
    """The processes that carry a token: what was started with it, and what that started.

    Python's trackers of shared memory are left out: they end by themselves once nobody is left, and not before a
    program whose interpreter still gives semaphores back to them.
    """
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir("/proc") as entries:
        for name in [entry.name for entry in entries if entry.name.isdigit()]:
            with contextlib.suppress(OSError):  # gone, or not ours
                if token.encode() in _read(name, "environ") and b"resource_tracker" not in _read(name, "cmdline"):
                    found.append(int(name))
    return found


def _read(pid: str, file: str) -> bytes:
    with open(f"/proc/{pid}/{file}", "rb") as content:
        return content.read()


def end(token: str) -> None:
    """Kill all that carries a token, and return once it is gone."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := carriers(token)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _let_go(watcher: "subprocess.Popen[bytes]") -> None:
    """Wait until the watcher has done its work: the program ends after all that it started."""
    assert watcher.stdin is not None
    watcher.stdin.close()
    watcher.wait()


def _watch(token: str) -> None:
    commands = [json.loads(line) for line in sys.stdin]  # until the other end is closed, which nobody can forget
    end(token)
    for command in commands:
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    _watch(sys.argv[1])
