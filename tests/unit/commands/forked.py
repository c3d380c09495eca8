"""Ask `tests.unit.commands.forking` for commands: each is run by a process of its own, and what came of it is told."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.conftest import ROOT


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command. `status` is negative where a signal ended it.

    `moments`: what was to be seen, digests by path, whenever it began an operation on files of the folder that was
    watched, or, of a disk that was full, at the end.
    """

    status: int
    stdout: str
    stderr: str
    moments: list[dict[str, str]]

    @property
    def said(self) -> str:
        """The one line of a command that failed."""
        (line,) = self.stderr.strip().splitlines()
        return line.removeprefix("model-manager: ")


class Commands:
    """Runs commands, one after the other."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers

    def run(
        self,
        *arguments: object,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        given: str | None = None,
        output: str | Path = "",
        full: Path | None = None,
        limit: int | None = None,
        stop: int = 0,
        at: int = 0,
        under: Path | None = None,
    ) -> Done:
        """Run `model-manager ARGUMENTS` in a folder.

        `given` is its standard input, `output` the file that takes its standard output. `full` is a folder where a disk
        has no byte left, `limit` how large a file may be. `stop` is a signal that it gets when it begins its operation
        number `at` on files below `under`, or at any event where no folder is named.
        """
        asked: dict[str, Any] = {"arguments": [*map(str, arguments)], "folder": str(folder), "input": given}
        asked |= {"environment": environment or {}, "output": str(output)}
        asked |= {"full": str(full) if full is not None else None, "limit": limit}
        asked |= {"stop": int(stop), "at": at, "under": str(under) if under is not None else None}
        print(json.dumps(asked), file=self._requests, flush=True)
        answer = self._answers.readline()
        assert answer, "the program that runs commands ended"
        return Done(**json.loads(answer))


@contextmanager
def forked_commands() -> Iterator[Commands]:
    """Start the program that commands are forked from, and end it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.unit.commands.forking"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        yield Commands(running.stdin, running.stdout)
        running.stdin.close()
        assert running.wait() == 0
