"""The generator: wrk, one thread on a core of its own, told what to post by wrk.lua."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from loadtests.benchmark.timing import Timing, timing_of
from tools.cores import pinned

SCRIPT = Path(__file__).with_name("wrk.lua")
Flavour: TypeAlias = Literal["timed", "strict"]

_TIMEOUT_S = 5
_PATIENCE_S = 30
_MARK = "RESULT "


class GeneratorFailed(Exception):
    """wrk is missing or said something that is not a result."""


def require_wrk() -> None:
    """Raise GeneratorFailed unless wrk is installed."""
    if shutil.which("wrk") is None:
        raise GeneratorFailed("wrk is not installed; it is Debian's package wrk: apt-get install wrk")


def wrk_version() -> str:
    """What wrk says of itself. It prints its usage too, and exits with an error."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return said.partition("Copyright")[0].strip()


def run_wrk(
    url: str,
    bodies: Sequence[Path],
    headers: Mapping[str, str],
    *,
    connections: int,
    seconds: int,
    core: int | None,
    flavour: Flavour = "timed",
) -> Timing:
    """Post the bodies in turn for some seconds over so many connections, each with one request under way.

    "strict" looks at every status, which slows the generator; "timed" leaves that to wrk, to which only 400 and above
    are errors. Raises GeneratorFailed.
    """
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command = ["wrk", *options, "--timeout", f"{_TIMEOUT_S}s", "--script", str(SCRIPT), url, "--", flavour]
    command += [*(f"{name}: {value}" for name, value in headers.items()), "--", *map(str, bodies)]
    try:
        ran = subprocess.run(
            pinned(command, core), capture_output=True, text=True, timeout=seconds + _PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise GeneratorFailed(f"wrk did not end within {seconds + _PATIENCE_S} s") from None
    if ran.returncode != 0:
        raise GeneratorFailed(f"wrk ended with exit code {ran.returncode}: {ran.stderr.strip() or ran.stdout.strip()}")
    return timing_of(parse_result(ran.stdout), connections=connections)


def parse_result(output: str) -> dict[str, Any]:
    """Find wrk.lua's line in what wrk printed. Raises GeneratorFailed."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            result: dict[str, Any] = json.loads(line.removeprefix(_MARK))
            return result
    raise GeneratorFailed(f"wrk printed no result: {output.strip()[-300:] or 'nothing'}")
