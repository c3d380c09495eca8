"""Programs that a release runs: what they say is shown as they say it, and one that fails ends the release."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from tools.parts import Unobtainable, fetch_helm


class Refused(Exception):
    """There is no release. The text says why and what to do."""


def run(*command: str | Path, cwd: Path, variables: Mapping[str, str] | None = None) -> None:
    """Run a program beside this one's output; raises Refused when it fails."""
    words = [str(word) for word in command]
    click.echo(f"$ {shlex.join(words)}", err=True)
    done = subprocess.run(words, cwd=cwd, env=_environment() | dict(variables or {}), stdout=sys.stderr, check=False)
    if done.returncode:
        raise Refused(f"{shlex.join(words)}: ended with exit code {done.returncode}")


def answer(*command: str | Path, cwd: Path, everything: bool = False) -> str:
    """What a program prints, with `everything` on standard error too. Raises Refused with its words when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"{shlex.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout + done.stderr if everything else done.stdout


def git(root: Path, *arguments: str) -> str:
    """What Git prints. Raises Refused."""
    return answer("git", *arguments, cwd=root).strip()


def helm() -> str:
    """The Helm on PATH, or the one that tests fetch. Raises Refused."""
    try:
        return shutil.which("helm") or str(fetch_helm(4))
    except Unobtainable as error:
        raise Refused(f"the chart needs Helm: {error}") from error


def _environment() -> dict[str, str]:
    """This environment, less what a `make` above would tell one below."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
