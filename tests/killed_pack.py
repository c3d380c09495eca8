"""Packs a model again and again in children of its own, each killed one operation on files later than the one before.

    python -m tests.killed_pack MODEL REPOSITORY

Prints a line of JSON for each: what is visible in the repository after the kill, and how the next run of the command
ended. What is imported is imported once, so that a kill costs little.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from model_manager.cli import cli

_CHANGES = ("open", "os.mkdir", "os.rename", "shutil.rmtree", "fcntl.flock")


def packed(model: str, repository: Path, version: str, kill_at: int | None) -> tuple[int, int]:
    """Pack in a child; give its exit status as the shell has it, and how many operations on the repository it began."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, arguments: Sequence[Any]) -> None:
            nonlocal seen
            if event in _CHANGES and (event == "fcntl.flock" or str(repository) in str(arguments[0])):
                seen += 1
                os.write(writing, b".")
                if seen == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            cli(["pack", model, "--name", "m", "--version", version, "--out", str(repository)])
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        finally:
            os._exit(70)
    os.close(writing)
    with open(reading, "rb") as told:
        operations = len(told.read())
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), operations


def main(model: str, repository: Path) -> None:
    """Kill before the first operation, before the second, and so on, until one run comes to its end."""
    with suppress(SystemExit), redirect_stdout(sys.stderr):  # what is imported here is imported in every child
        cli(["pack", model, "--name", "m", "--version", "1", "--out", f"{repository}-first"])
    kill_at = 1
    while True:
        version = str(kill_at)
        status, operations = packed(model, repository, version, kill_at)
        visible = sorted(path.name for path in (repository / "m").glob("[!.]*")) if repository.exists() else []
        files = sorted(path.name for path in (repository / "m" / version).glob("*"))
        again = packed(model, repository, version, None)[0] if not files else None
        told = {"status": status, "operations": operations, "version": version, "visible": visible, "files": files}
        print(json.dumps({**told, "again": again}), flush=True)  # noqa: T201
        if status == 0:
            return
        kill_at += 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
